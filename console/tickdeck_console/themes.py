"""Themes of the console.

Colour is for the abnormal: an ok row is the plain foreground. There is no green; where something
positive needs a colour it is blue. Every state has a mark and a word beside its colour, so all of
it reads without colour too. A test holds every pair to a contrast of at least 4.5:1.
"""

from textual.theme import BUILTIN_THEMES, Theme

OPS_DARK = Theme(
    name="ops-dark",
    primary="#2fafff",
    secondary="#8fa3bf",
    accent="#2fafff",
    foreground="#dfe3ea",
    background="#0c0e12",
    surface="#12151b",
    panel="#1a1f28",
    warning="#ffa00f",
    error="#ff5f59",
    success="#2fafff",
    dark=True,
    variables={
        "ok": "#aab2bf",
        "quiet": "#838c9a",
        "down-text": "#ffffff",
        "down-back": "#c2202b",
        "degraded": "#ffa00f",
        "recovering": "#00d3d0",
        "stale": "#f78fe7",
        "closed": "#8a93a1",
        "good": "#2fafff",
        "bar-text": "#dfe3ea",
        "bar-back": "#1a1f28",
        "lost-text": "#0c0e12",
        "lost-back": "#f78fe7",
        "cursor-back": "#26303d",
        "key": "#2fafff",
        "rule": "#3a4350",
        "block-cursor-background": "#26303d",
        "block-cursor-foreground": "#ffffff",
        "input-selection-background": "#2fafff 35%",
    },
)
OPS_LIGHT = Theme(
    name="ops-light",
    primary="#0552a8",
    secondary="#51606f",
    accent="#0552a8",
    foreground="#14181d",
    background="#f7f8fa",
    surface="#eef0f3",
    panel="#e1e5ea",
    warning="#8a4b00",
    error="#b01620",
    success="#0552a8",
    dark=False,
    variables={
        "ok": "#3a434e",
        "quiet": "#5a6470",
        "down-text": "#ffffff",
        "down-back": "#b01620",
        "degraded": "#8a4b00",
        "recovering": "#00636b",
        "stale": "#8f1d84",
        "closed": "#5a6470",
        "good": "#0552a8",
        "bar-text": "#14181d",
        "bar-back": "#e1e5ea",
        "lost-text": "#ffffff",
        "lost-back": "#8f1d84",
        "cursor-back": "#cfdcec",
        "key": "#0552a8",
        "rule": "#a9b2bd",
        "block-cursor-background": "#cfdcec",
        "block-cursor-foreground": "#14181d",
        "input-selection-background": "#0552a8 25%",
    },
)
THEMES = (OPS_DARK, OPS_LIGHT)


def names() -> list[str]:
    """Every theme that can be chosen: ours, and those of Textual."""
    return [*(theme.name for theme in THEMES), *sorted(BUILTIN_THEMES)]
