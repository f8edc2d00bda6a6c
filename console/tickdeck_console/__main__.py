"""The `tickdeck` command."""

from tickdeck_console.cli import cli


def main() -> None:
    """Run the command line; ends the process with an `ExitCode`."""
    cli(prog_name="tickdeck")


if __name__ == "__main__":
    main()
