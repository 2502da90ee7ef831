import sys
from pathlib import Path

# The recordings of these tests are a module beside them.
sys.path.insert(0, str(Path(__file__).parent))
