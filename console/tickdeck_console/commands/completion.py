r"""`tickdeck completion`: the script that teaches a shell our commands."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    r"""Print the completion script of SHELL.

    \b
    bash:  eval "$(tickdeck completion bash)"        in ~/.bashrc
    zsh:   eval "$(tickdeck completion zsh)"         in ~/.zshrc
    fish:  tickdeck completion fish | source         in ~/.config/fish/config.fish
    """
    completer = get_completion_class(shell)
    assert completer is not None, f"click completes {shell}"
    click.echo(completer(ctx.find_root().command, {}, "tickdeck", "_TICKDECK_COMPLETE").source())
