"""What the epoch guard runs on a target: a script for any `sh`.

The one rule it keeps: it fails closed. A smaller epoch is refused before anything is locked or written. What another
login of the target could have put in its way (a lock that is held, a directory, link or file of somebody else's)
refuses too. Only faults that nobody can have caused on purpose (a file system that is full or read-only, a host without
a home directory) let the playbook run, and are reported.

    it prints                     exit code   meaning
    --------------------------    ---------   --------------------------------------------------------------
    bascule-epoch-begun           -           a shell runs this; whatever has no such line is no shell
    bascule-stale-epoch E O       79          E is ours, O the larger one that is kept here
    bascule-other-holder E        79          E is ours, and was kept here for another controller
    bascule-blocked WHY           79          somebody else's thing is in the way
    bascule-epoch-kept E          0           E is the number that is kept here now
    bascule-unguarded WHY         0           a remark; without `kept` the epoch is not kept here
    begun, and no end             any         it was broken off

An equal epoch is let through for the controller that brought it first, which comes again with every step: it says by
its mark which one it is. Beside it, only a controller on a copy of the journal can have the same epoch.

A login may gain or lose sudo from one call to the next, and then keeps its number elsewhere. So if it has sudo, the
number in its home counts, too. If it has none, a directory of root's into which it cannot look is a remark.

The directory is the login's own with mode 0700, so that nobody else can open the lock: whoever can open it, even only
to read, can hold it. Directories of earlier versions (0755) are tightened, and their lock is made anew, because it may
have been opened before.
"""

from __future__ import annotations

BEGUN = "bascule-epoch-begun"
STALE = "bascule-stale-epoch"
OTHER = "bascule-other-holder"
BLOCKED = "bascule-blocked"
KEPT = "bascule-epoch-kept"
UNGUARDED = "bascule-unguarded"
REFUSES = 79
LOCK_S = 10.0  # what it waits for a lock that is held, before it refuses

# Arguments: directory, file name, epoch, the controller's mark (or nothing). Without root the number is kept in the
# home directory (a guard for this login only). `ls -ldn` tells kind, mode and owner on every system. No waiting in
# `flock` itself: busybox has none.
SCRIPT = r"""
d=$1 f=$2 e=$3 c=$4
echo BEGUN
no() { echo "BLOCKED $*"; exit 79; }
free() { echo "UNGUARDED $*"; exit 0; }
for p in id ls mkdir chmod mv rm; do command -v $p >/dev/null 2>&1 || free "there is no program $p"; done
set -f; umask 077; IFS=' '; LC_ALL=C; export LC_ALL
case $e in ''|*[!0-9]*) no "the epoch $e is no number";; esac
case $c in *[!0-9a-f]*) no "the controller's mark $c is none";; esac
number() { # k, h: what a file keeps, and for whom; bad: there is one that cannot be read
  k=0 h= bad=
  { IFS= read -r k || bad=y; IFS= read -r h || h=; } 2>/dev/null <"$1" || bad=y
  case $k in ''|*[!0-9]*|???????????????????*) k=0 bad=y;; esac
  case $h in *[!0-9a-f]*) h=;; esac
}
refuse() {
  if [ "$e" -lt "$k" ]; then echo "STALE $e $k"; exit 79; fi
  if [ "$e" -eq "$k" ] && [ -n "$h" ] && [ -n "$c" ] && [ "$h" != "$c" ]; then echo "OTHER $e"; exit 79; fi
}
of() { m= o=; set -- $(ls -ldn "$1" 2>/dev/null); m=$1 o=$3; }
u=$(id -u) || no "id does not say who this is"
of "$d/."
if [ "$u" != 0 ] && [ "$o" != "$u" ]; then
  if [ -z "$5" ] && command -v sudo >/dev/null 2>&1; then
    of "$HOME/.bascule/$f" # what this login has kept without sudo counts, whoever it is from now on
    case $m in
      -*) [ "$o" != "$u" ] || { number "$HOME/.bascule/$f"; refuse; };;
    esac
    sudo -n sh -c "$0" "$0" "$d" "$f" "$e" "$c" s
    r=$?; case $r in 1|126|127|134|139) ;; *) exit $r;; esac # it may not, or cannot run
  fi
  mkdir -p "$d" 2>/dev/null; of "$d/."
  if [ "$o" != "$u" ]; then
    of "$d"; [ -z "$o" ] || echo "UNGUARDED $d belongs to user $o: what is kept there was not compared"
    [ -n "$HOME" ] || free "this login has no home directory"
    d=$HOME/.bascule
  fi
fi
if [ -L "$d" ]; then of "$d"; case $o in 0|$u) ;; *) no "$d is a link that belongs to user $o";; esac; fi
mkdir -p "$d" 2>/dev/null
if [ ! -d "$d" ]; then
  if [ -e "$d" ] || [ -L "$d" ]; then no "$d is no directory: remove it"; fi
  free "$d cannot be made"
fi
of "$d/."; [ "$o" = "$u" ] || no "$d belongs to user ${o:-?}: remove it"
case $m in
  d???------*) ;;
  *)
    case $m in d????w*|d???????w*) echo "UNGUARDED others could write to $d until now";; esac
    chmod 700 "$d" 2>/dev/null; of "$d/."
    case $m in d???------*) rm -f "$d/$f.lock" 2>/dev/null;; *) echo "UNGUARDED others can open $d";; esac;;
esac
of "$d/.."
case $m in d????????[tT]*) ;; d????w*|d???????w*) echo "UNGUARDED others can replace $d";; esac
case $o in 0|$u) ;; *) echo "UNGUARDED user $o can replace $d";; esac
cd "$d" 2>/dev/null || free "$d cannot be used"
ours() { # whether there is such a file; one that is no file, or somebody else's, refuses
  of "$1"
  case $m in '') return 1;; -*) ;; *) no "$d/$1 is no file: remove it";; esac
  [ "$o" = "$u" ] || no "$d/$1 belongs to user $o: remove it"
}
read_it() { if ours "$f"; then number "$f"; else k=0 h= bad=; fi; }
kept() { [ "$k" -eq "$e" ] && [ -z "$bad" ] && { [ "$h" = "$c" ] || [ -z "$c" ]; }; }
judge() {
  read_it
  refuse
  if kept; then echo "KEPT $e"; exit 0; fi
}
judge # without the lock: a number only grows, so what refuses now refuses for good
ours "$f.lock"
( : >>"$f.lock" ) 2>/dev/null || free "$d cannot be written"
exec 9>>"$f.lock"
i=0
while command -v flock >/dev/null 2>&1; do
  flock -n 9 2>/dev/null
  case $? in 0) break;; 1) ;; *) echo "UNGUARDED $d/$f.lock cannot be locked"; break;; esac
  i=$((i + 1)); [ $i -le 50 ] || no "$d/$f.lock is held"
  sleep 0.2 2>/dev/null || { sleep 1; i=$((i + 4)); }
done
judge
[ -z "$bad" ] || echo "UNGUARDED $d/$f held no whole number"
rm -f "$f.new" 2>/dev/null
{ { echo "$e"; [ -z "$c" ] || echo "$c"; } >"$f.new" && { sync "$f.new" 2>/dev/null || :; } &&
  mv -f "$f.new" "$f"; } 2>/dev/null
read_it
if kept; then echo "KEPT $e"; exit 0; fi
rm -f "$f.new" 2>/dev/null
free "$d/$f cannot be written"
"""
for _word, _value in (
    ("BEGUN", BEGUN),
    ("STALE", STALE),
    ("OTHER", OTHER),
    ("BLOCKED", BLOCKED),
    ("KEPT", KEPT),
    ("UNGUARDED", UNGUARDED),
):
    SCRIPT = SCRIPT.replace(_word, _value)
