"""The masking section of a policy, compiled: what all exchanges under one policy share."""

from extproc.core.masking.aliases import Aliases, MaskKey
from extproc.core.masking.context import Words
from extproc.core.masking.detectors import Detectors
from extproc.core.masking.effort import MAX_STEPS, Effort
from extproc.core.masking.iin import IinTable, Tier
from extproc.core.masking.masker import Masker
from extproc.core.masking.originals import OriginalMasker
from extproc.core.masking.pan import PanJudge
from extproc.core.masking.rule_catalogue import rules_of
from extproc.core.masking.rules import RuleSet
from extproc.core.masking.settings import BALANCED, PCI_STRICT, PROFILES, MaskingSettings, Side, Style
from extproc.core.masking.styles import refused_style
from extproc.core.masking.walk import Found, Walker
from extproc.core.trust import Secret


class Scanner:
    """Finds card data by the rules of one policy. Immutable; safe to share between exchanges."""

    __slots__ = ("_detectors", "_key", "_max_steps", "judge", "settings", "words")

    def __init__(self, settings: MaskingSettings, max_steps: int = MAX_STEPS, key: MaskKey | None = None) -> None:
        """`max_steps` bounds what one body, or one piece of a stream, may cost; a step takes about a microsecond.
        `key` makes the tokens.

        Raises `ValueError` for a profile that does not exist, a style that a kind cannot have, tokens without a key.
        """
        for kind, style in settings.all_styles:
            if refused := refused_style(kind, style):
                raise ValueError(f"{kind} {refused}")
            if style is Style.TOKEN and key is None:
                raise ValueError("the style `token` needs a key")
        self._key = key
        self._max_steps = max_steps
        if settings.profile == PCI_STRICT:
            strong: tuple[Tier, ...] = (Tier.STRONG, Tier.NATIONAL)
            words = Words()
        elif settings.profile == BALANCED:
            strong = (Tier.STRONG,)
            words = Words(ambiguous=())
        else:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}")
        self.settings = settings
        self.words = words
        self.judge = PanJudge(IinTable(strong), words)
        rules = rules_of(settings)
        ruled = RuleSet.of(rules, settings.all_styles) if rules else None
        self._detectors = Detectors(Walker(self.judge, words), ruled)

    def find(self, text: str) -> list[Found]:
        """What would be masked in a whole text, in order, without overlaps. Raises as a `Masker` does."""
        return self._detectors.find(text, Effort(self._max_steps))

    def aliases(self, tenant: str = "") -> Aliases:
        """The names of the values of one exchange, before there are any."""
        return Aliases(self._key, tenant)

    def masker(self, side: Side = Side.REQUEST, aliases: Aliases | None = None) -> Masker:
        """A new masker, for one exchange and direction; `aliases` are those of the exchange."""
        return Masker(self._detectors, self.settings.styles(side), aliases or self.aliases(), self._max_steps)

    def original_masker(self, side: Side, aliases: Aliases | None, secret: Secret) -> OriginalMasker:
        """A new masker that finds the same and keeps plain PANs, for what is sealed and goes nowhere else."""
        return OriginalMasker(
            self._detectors, self.settings.styles(side), aliases or self.aliases(), self._max_steps, secret
        )
