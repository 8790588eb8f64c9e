"""``python -m mga_wrap`` is the same as ``mga-wrap``."""

from mga_wrap.cli import main

if __name__ == "__main__":
    main()
