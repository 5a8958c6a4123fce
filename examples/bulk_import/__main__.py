"""``python -m examples.bulk_import``."""

from .command import main

raise SystemExit(main())
