"""``python -m polyroots`` is the command ``polyroots``; torchrun starts it this way."""

from polyroots_cli.main import main

if __name__ == "__main__":
    main()
