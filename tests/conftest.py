"""What holds for all tests."""

from __future__ import annotations

import hypothesis

# By default an example that takes long is a failure, and machines that do other work as well take
# long now and then: no test here is about the time that something takes.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")
