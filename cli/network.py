"""A network's configuration for a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyroots.models import ModelConfig
    from polyroots.training import Source
    from polyroots_cli.model_options import NetworkRequest


def config_for(request: NetworkRequest, source: Source) -> ModelConfig:
    """Return the configuration of the network of the options, for the images of a data set."""
    return request.config(image_size=source.image_size, in_channels=source.channels, num_classes=len(source.classes))
