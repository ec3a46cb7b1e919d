"""``python -m cptoolkit`` is the command ``cptoolkit``."""

from __future__ import annotations

import sys

from cptoolkit.cli import main

sys.exit(main())
