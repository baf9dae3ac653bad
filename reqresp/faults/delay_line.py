"""
DelayLine: the pieces on their way in one direction of a connection, through stages of faults.

Sans-I/O, without a clock: pieces are put in at a time, and taken out at a time.  Each piece leaves
a stage exactly when it is due, however late it is asked for, so delays do not add up.
"""

from collections import deque
from collections.abc import Callable, Sequence

from reqresp.faults import Dice
from reqresp.faults.stages import NEVER, Ending, Listener, Piece, Stage, StageOwner, make_stage


class DelayLine:
    """
    A queue of pieces, which pass a stage for each fault.

    :param roll: returns new dice for the stage of a fault.
    :param listener: receives the events of the stages.
    """

    def __init__(self, roll: Callable[[StageOwner], Dice], listener: Listener) -> None:
        self._roll = roll
        self._listener = listener
        self._stages: list[Stage] = []
        self._rest: deque[Piece] = deque()  # of stages that were removed
        #: Whether both directions have ended.
        self.has_ended = False
        self._is_blocked = False
        self._full_until = -NEVER  # when what takes the pieces was blocked last

    @property
    def held(self) -> int:
        """How many bytes are on their way."""
        return sum(stage.held for stage in self._stages) + sum(
            len(piece) for piece in self._rest if isinstance(piece, bytes)
        )

    @property
    def is_full(self) -> bool:
        """Whether no bytes should be put in, until some have left."""
        if self._rest or not self._stages:
            return bool(self._rest)
        return self._stages[0].is_full or any(stage.is_overfull for stage in self._stages)

    @property
    def is_idle(self) -> bool:
        """Whether it has no stages, and nothing is on its way."""
        return not self._stages and not self._rest

    def use(self, owners: Sequence[StageOwner], at: float) -> None:
        """
        Have a stage for each of *owners*, in this order.

        Stages that remain keep what they hold.  What others hold goes to the stage after them.
        """
        if self.has_ended:
            return
        for stage in [it for it in self._stages if it.owner not in owners]:
            self._remove(stage, at)
        stages = {id(stage.owner): stage for stage in self._stages}
        self._stages = [
            stages.get(id(owner)) or make_stage(owner, self._roll(owner), at, self._listener)
            for owner in owners
        ]

    def put(self, piece: Piece, at: float) -> None:
        """Take *piece*, which enters at the time *at*."""
        if self.has_ended:
            return
        if self._stages:
            self._stages[0].put(piece, at)
        else:
            self._rest.append(piece)

    def due(self) -> float:
        """Return when the next piece leaves any stage; `NEVER`: none does, as things are."""
        if self._rest and not self._blocks(isinstance(self._rest[0], Ending)):
            return self._full_until
        return min(map(self._ready, range(len(self._stages))), default=NEVER)

    def take(self, at: float) -> Piece | None:
        """
        Return the next piece that is due at the time *at*, or was before; None: none.

        After an ending of both directions, the line is empty, and takes nothing more.
        """
        piece = self._take(at)
        if piece is Ending.CLOSE or piece is Ending.RESET:
            self.stop()
        return piece

    def _take(self, at: float) -> Piece | None:
        if self._rest:
            is_blocked = self._blocks(isinstance(self._rest[0], Ending))
            return None if is_blocked else self._rest.popleft()
        last = len(self._stages) - 1
        while self._stages:
            # Of those that are due at one time, the last stage is first: it makes room.
            due, index = min((self._ready(it), -it) for it in range(last + 1))
            if due > at or due == NEVER:
                return None
            piece = self._stages[-index].take(due)
            if -index == last:
                return piece
            self._stages[1 - index].put(piece, due)
        return None

    def drop(self) -> None:
        """Drop what is on its way; the stages go on with what comes next."""
        for stage in self._stages:
            stage.rest()
        self._rest.clear()

    def block(self) -> None:
        """Handle that no bytes can be taken; endings can."""
        self._is_blocked = True

    def unblock(self, at: float) -> None:
        """Handle that bytes can be taken again, from the time *at* on."""
        if self._is_blocked:
            self._is_blocked = False
            self._full_until = at

    def stop(self) -> None:
        """Drop everything, and take nothing more."""
        self.has_ended = True
        self.drop()
        self._stages = []

    def _blocks(self, is_ending: bool) -> bool:
        return self._is_blocked and not is_ending

    def _ready(self, index: int) -> float:
        """Return when a piece can leave the stage at *index*: it is due, and there is room."""
        stage = self._stages[index]
        is_last = index == len(self._stages) - 1
        following = None if is_last else self._stages[index + 1]
        is_blocked = self._is_blocked if following is None else following.is_full
        full_until = self._full_until if following is None else following.full_until
        due = max(stage.due(), full_until)
        if is_blocked and not stage.ends_at(due):
            stage.step_aside()
            return NEVER
        return due

    def _remove(self, stage: Stage, at: float) -> None:
        index = self._stages.index(stage)
        del self._stages[index]
        for piece in stage.rest():
            if index < len(self._stages):
                self._stages[index].put(piece, at)
            else:
                self._rest.append(piece)
