"""The command line. A verb parses and prints; another module does the job, imported when the verb runs."""

import sys

import typer

from edgegen.errors import EdgegenError, UsageError

app = typer.Typer(
    name="edgegen",
    help="Learn small generators of network traffic, compile them, and run them on a gateway.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Captures and data sets in, and what is in them.", no_args_is_help=True)
app.add_typer(data_app, name="data")


def main() -> None:
    """Run a verb; an error is one sentence on stderr and exit status 1 (the job) or 2 (its usage)."""
    try:
        app()
    except UsageError as error:
        print(f"edgegen: {error}", file=sys.stderr)
        sys.exit(2)
    except EdgegenError as error:
        print(f"edgegen: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("edgegen: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to say to it.
        sys.stderr.close()
        sys.exit(141)


if __name__ == "__main__":
    main()
