"""``python -m guardsvc``."""

from guardsvc.cli import main

main()
