"""The spawner's entry: makes its package importable without the rest of labkit, and serves."""

import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from spawner.serve import main

main()
