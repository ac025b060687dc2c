"""`bede agent`: the daemon itself."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: what there is to say stands in /etc/bede/config.yaml."""


def run(args: argparse.Namespace) -> int:
    """Hold bounds until told to end."""
    from ocihook.agent import main

    return main.run()
