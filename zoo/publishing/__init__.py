"""Publishing of a trained model as an artifact: card, SavedModel, TF Lite files and sheet."""

from zoo.publishing.card import card_of
from zoo.publishing.unmeasured import write_unmeasured
from zoo.publishing.update import update_card
from zoo.publishing.write import publish, publish_with_card

__all__ = ["card_of", "publish", "publish_with_card", "update_card", "write_unmeasured"]
