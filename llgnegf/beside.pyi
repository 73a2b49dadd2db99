# For type checkers, which do not follow `__path__`.
import integrators as integrators
import textures as textures
