"""One piece to its lessons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from ...settings import LearningSettings
from ..arrays import CodeArray
from ..cube.iceberg import Slices
from ..encode import CodedEvents, CodedGroup, code_group
from ..evidence.columns import no_evidence
from ..evidence.weigh import Across, weigh
from ..lessons import find_slices, lesson_frame
from ..memory import slice_bytes
from .across import Known
from .plan import Piece
from .rows import scopes_of


def mine_piece(
    rows: pd.DataFrame,
    piece: Piece,
    known: Known,
    settings: LearningSettings,
    memory: Callable[[], int],
    threads: int = 1,
) -> pd.DataFrame:
    """The lessons of a piece from its rows, as `mine_lessons` has them; a cut group's have no evidence.

    `memory` is asked how many bytes the result may take on its way. Raises `LessonLimitError`.
    """
    group = _coded(rows.sort_values("position", ignore_index=True), piece, known)
    coded = CodedEvents([group], len(group.y), 0, known.baseline)
    limit = min(settings.max_lessons, memory() // slice_bytes([group]))
    inner = replace(settings, max_dims=piece.max_dims)
    (slices,) = find_slices(coded, inner, limit, threads)
    if piece.whole:
        across = Across(known.rho, [known.effects[piece.group]])
        weighed = weigh(coded, [slices], settings, known.claims, across, threads)
        return lesson_frame(coded, [slices], settings, weighed, known.category_scores)
    group, slices = _put_back(group, slices, piece)
    coded = replace(coded, groups=[group])
    nothing = no_evidence(group.action_category, slices.n) if len(slices.n) else None
    return lesson_frame(coded, [slices], settings, [nothing], known.category_scores)


def _coded(rows: pd.DataFrame, piece: Piece, known: Known) -> CodedGroup:
    return code_group(
        piece.group,
        scopes_of(rows),
        trade=pd.factorize(rows["trade_id"])[0].astype(np.int64),
        y=rows["outcome"].to_numpy(),
        ended=rows["timestamp"].to_numpy(),
        trimmed=rows["trimmed"].to_numpy(),
        reached_s3=rows["reached_s3"].to_numpy(),
        begin=known.begins[piece.group],
    )


def _put_back(group: CodedGroup, slices: Slices, piece: Piece) -> tuple[CodedGroup, Slices]:
    """Every slice with the values that the piece's rows have in common, before the others."""
    fixed = len(piece.fixed)
    codes: CodeArray = np.zeros((len(slices.n), fixed + slices.codes.shape[1]), slices.codes.dtype)
    codes[:, fixed:] = slices.codes
    return (
        replace(
            group,
            dimensions=(*(name for name, _ in piece.fixed), *group.dimensions),
            values=(*((value,) for _, value in piece.fixed), *group.values),
        ),
        replace(slices, codes=codes, dimensions=(*range(fixed), *(d + fixed for d in slices.dimensions))),
    )
