"""Which requests a rule's match can reach at all, compared with another's. Says yes only to what is certain."""

from dataclasses import fields

from extproc.core.policy import AtLeast, Match, Operation, TimeSpan, matches_glob


def covers(wide: Match, narrow: Match) -> bool:
    """Every request that `narrow` matches is matched by `wide`; False where that cannot be told."""
    return (
        _holds_all(wide.groups, narrow.groups)
        and _holds_all(wide.subjects, narrow.subjects)
        and _holds_all(wide.operations, narrow.operations)
        and _globs_cover(wide.connections, narrow.connections)
        and (_models_cover(wide, narrow) and not _lists_without_model(wide, narrow))
        and _is_lower(wide.at_least, narrow.at_least)
        and _holds_all(wide.kinds, narrow.kinds)
        and _spans_cover(wide.times, narrow.times)
    )


def meet(one: Match, other: Match) -> bool:
    """Some request may be matched by both; True where that cannot be told. A caller may be in any groups at once."""
    return (
        _share(one.operations, other.operations)
        and _share(one.kinds, other.kinds)
        and globs_meet(one.connections, other.connections)
        and (_models_meet(one, other) or _both_list(one, other))
        and (_share(one.subjects, other.subjects) or any("|" in each for each in one.subjects + other.subjects))
    )


def _holds_all(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _spans_cover(wide: tuple[TimeSpan, ...], narrow: tuple[TimeSpan, ...]) -> bool:
    return not wide or (bool(narrow) and set(narrow) <= set(wide))


def _share(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return not one or not other or not set(one).isdisjoint(other)


def _globs_cover(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    return not wide or "*" in wide or (bool(narrow) and all(any(_glob_covers(w, n) for w in wide) for n in narrow))


def _glob_covers(wide: str, narrow: str) -> bool:
    return wide == narrow or (_is_literal(narrow) and matches_glob(wide, narrow))


def globs_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Some text may match a glob of both; True where that cannot be told, and where one is empty."""
    return not one or not other or any(_glob_meets(a, b) for a in one for b in other)


def _models_cover(wide: Match, narrow: Match) -> bool:
    """Of names that are no ASCII, a `?` may stand for another number of characters in another case."""
    if narrow.any_case and wide.models and "*" not in wide.models:
        return wide.any_case and all(map(str.isascii, narrow.models)) and _globs_cover(wide.models, narrow.models)
    return _globs_cover(wide.models, narrow.models)


def _models_meet(one: Match, other: Match) -> bool:
    if not (one.any_case or other.any_case):
        return globs_meet(one.models, other.models)
    folded, others = (tuple(map(str.casefold, match.models)) for match in (one, other))
    return globs_meet(one.models, other.models) or globs_meet(folded, others)


def _glob_meets(a: str, b: str) -> bool:
    if _is_literal(a):
        return matches_glob(b, a)
    return matches_glob(a, b) if _is_literal(b) else _ends_agree(a, b) and _ends_agree(a[::-1], b[::-1])


def _ends_agree(a: str, b: str) -> bool:
    """No character in front of the first `*` of both contradicts."""
    fixed = zip(a.partition("*")[0], b.partition("*")[0], strict=False)
    return all(one == other or "?" in (one, other) for one, other in fixed)


def _is_literal(glob: str) -> bool:
    return "*" not in glob and "?" not in glob


def _both_list(one: Match, other: Match) -> bool:
    return all(not match.operations or Operation.MODEL_LIST in match.operations for match in (one, other))


def _lists_without_model(wide: Match, narrow: Match) -> bool:
    """`narrow` matches a listing that names no model, by listing the operation, and `wide` might not."""
    return (
        Operation.MODEL_LIST in narrow.operations and Operation.MODEL_LIST not in wide.operations and bool(wide.models)
    )


def _is_lower(wide: AtLeast, narrow: AtLeast) -> bool:
    for each in fields(AtLeast):
        least, reached = getattr(wide, each.name), getattr(narrow, each.name)
        if least is not None and (reached is None or reached < least):
            return False
    return True
