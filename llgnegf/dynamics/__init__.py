"""How the state of a run moves from one step to the next, in time with its electrons.

Knows magnets, electrons and integrators; knows nothing of decks and files: `build.py` passes it numbers.

stepper.py            `Stepper` and `Instant`: all that the loop over time knows of a run
coupling.py           the right-hand side: dm/dt of moments and electrons that act on each other
velocity_equation.py  its implicit equation for dm/dt, solved
refresh.py            steppers that evaluate the electrons at every stage, once a step, or never
adaptive.py           a stepper that evaluates them only as often as their field needs it
imposed.py            moments that rest or turn rigidly while the electrons respond
electron_instant.py   what frames say of frozen electrons
registry.py           the steppers by their names in a deck
profiles.py           functions of time, by which gates, voltages, fields and currents are driven
gates.py, external.py potentials that change in time; driven fields and currents on the moments
torques.py            the torque of the electrons and its components
"""
