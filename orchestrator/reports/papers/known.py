"""Sentences that the account, the remarks and the ledger compose in English, for translation into other languages.

The one rule it keeps: these are only read here. Data stay as they were written; a sentence of which nobody knows a
translation is shown in English, whole.
"""

from __future__ import annotations

MOMENTS = (  # what `account.py` says of a record in words of its own
    "placed at {place}",
    "was at {place}",
    "was at no place",
    "by {run}",
    "{place} may be acting",
    "about to be activated",
    "{place} cannot act any more",
    "{place} is stated to be unable to act",
    "{move} in effect",
    "{move} taken back",
    "delivered",
    "not delivered yet",
    "could not be delivered",
    "not delivered: no longer so",
    "not known to be delivered: no longer so",
    "refused: {reason}",
    "{run} is at work",
    "{run} waits for a person",
)
SENTENCES = (
    # of figures: `account.py`, `data_lost.py`
    "a planned move: nothing had failed",
    "a rehearsal is not the move",
    "the move was not verified",
    "the move alone: no detection is in it, for nothing had failed",
    "not recovered yet",
    "first bad answer to the good answer that ended it",
    "first bad answer to the good answer that ended it, of {n} outages ({each}); it worked for {worked} in between",
    "{more}, of {n} outages ({each}); it worked for {worked} in between",
    "nothing was heard of its checks for {time} before the first good answer",
    "its checks had been good for {time} by then, and what was at work for it had not ended",
    "for {time} too few vantages saw it down, none saw anything, or nobody looked",
    "{unheard}; {also}",
    "the controller's machine restarted: part is from the wall clock",
    "at most {time}",
    "not measured",
    "no move was made",
    "the service stayed where its data is",
    "{move} was not made",
    "{move} has not been made yet",
    "{move} has not ended: what data was opened at {place} is not known",
    "{move} was begun and did not end well: what data was opened at {place} is not known",
    "the data found at step {step} was {age}s old",
    "at most: the data found at step {step} was {age}s old",
    "at most: the data found at step {step} was {age}s old, and {later}s later the place left was proven unable to act",
    "at most: the data found at step {step} was {age}s old,"
    " and {later}s later {who} stated that the place left cannot act",
    "at most: the data found at step {step} was {age}s old, and {later}s later {move} had ended",
    "{n} earlier live run",
    "the largest of {n} earlier live runs",
    "95% bound of {n} earlier live runs",
    "no live run measured before: assumed to fit",
    "no record says that it moved and came back",
    "from when it was to go back until it was back, by the records",
    "{run}: {more}",
    "{run} ({move}): {more}; before it {time}",
    # of remarks: `remarks.py`
    "controller {name} took over with epoch {epoch}",
    "controller of the provider took over with epoch {epoch}",
    "of this, {time} are assumed from the wall clock",
    "the last good answer came {gap} before the first bad one: whether it worked then is not known",
    "{move}: a loss of up to {time} is accepted there by its author",
    "{n} outages, each a relapse of the one before; RTA and phases count the time without service in all of them",
    "{place}, its place on record, was taken out, and no move has led it elsewhere; it may be acting: {others}",
    "{place}, its place on record, was taken out, and no move has led it elsewhere; no other place may be acting",
    "{place}, its place on record, cannot act, as {who} states, and no move has led it elsewhere;"
    " it may be acting: {others}",
    "{place}, its place on record, cannot act, as {who} states, and no move has led it elsewhere;"
    " no other place may be acting",
    "{place} is its place from before, and it came back with {run} ({move}), made for {other}, led to {there}:"
    " where it is now is not known",
    "nobody has watched for {time}: what is open or running here was so then",
    "the controller's clock was set forward by {time} meanwhile: no duration has that in it",
    "the controller's clock was set back by {time} meanwhile: no duration has that in it",
    "no good answer is on record before the first bad one: whether it worked then is not known",
    "no {objective} was declared when it began; {time} was declared meanwhile",
    "its {objective} was {time} when it began, and none is declared any more",
    "its {objective} was {time} when it began, and was changed meanwhile: it is judged by {later}",
    *MOMENTS,
    # of what a proof rests on: `proofs.py`
    "the move {move}",
    "the playbook",
    "the playbook {path}",
    "its preparation {path}",
    "its finish {path}",
    "its hand-over {path}",
    "its rehearsal's preparation",
    "its rehearsal's preparation {path}",
    "its rehearsal's playbook",
    "its rehearsal's playbook {path}",
    "its rehearsal's clean-up",
    "its rehearsal's clean-up {path}",
    "its rehearsal's survey",
    "its rehearsal's survey {path}",
    "how it is rehearsed",
    "its preparation",
    "its finish",
    "its hand-over",
    "what shows that {service} is well",
    "what verifies {move}",
    "what {move} needs before it begins",
    "what shows that {move} is done",
    "the fence of {place}",
    "the playbook of the fence of {place}",
    "the playbook of the fence of {place} {path}",
    "the check {check}",
    "the provider",
    "of the provider",
)

WORDS = (
    # phases
    "detect", "decide", "isolate", "wait for a human", "wait for a dependency", "fence", "execute", "verify",
    # how a figure is known, how a step was done, how things stand
    "measured", "predicted", "assumed", "unknown",
    "live", "simulated", "skipped",
    "done", "failed", "pending", "running", "unseen", "looking",
    "open", "recovered", "with a person", "stopped",
    "waiting", "ineligible", "not needed", "not judged yet", "settling", "not made",
    # parts that must not be empty
    "scenario", "participants", "end", "objectives", "steps", "what worked, what did not", "findings",
    # lanes of the timeline
    "phases", "checks", "decisions", "words", "told", "end user",
)  # fmt: skip
