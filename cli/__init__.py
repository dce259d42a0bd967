"""The command ``polyroots``: parse, call the library, print."""
