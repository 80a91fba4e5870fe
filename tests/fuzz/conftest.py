import os

from hypothesis import settings

# No deadline: a busy machine is no fault. The same examples on every run of CI; new ones on a developer's machine.
settings.register_profile("vidd", deadline=None, database=None, derandomize="CI" in os.environ)
settings.load_profile("vidd")
