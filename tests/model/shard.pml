/* One shard of shoal, for Spin: takeover by ballots, lost and late messages, crashes, a change of
   home. The rules H1-H7, C1-C6, O1-O5, G1-G5 stand at the lines they rule; the code is src/shard.
   `model_test.py` runs what is listed here and says how long each search took.

   What is checked, in every reachable state:
   1. All values shown (acknowledged or readable) lie on one chain: none forgets another's writes.
   2. Whoever owns the shard and could pass a Confirm round (O4) has committed all that was ever
      shown, so no reader sees less than an earlier one, and no acknowledged write is lost.

   One step of the model is one message handled by one node, one step of a candidate or owner, one
   sync, or one crash. Nothing forces any step, so a node that is paused, cut off or dead is one
   whose steps do not come.

   How it departs from the code, always towards more behaviour unless it says "bound":
   - No channels. What an owner has said may reach any node it was said to, at any later time, any
     number of times, or never. Without DISKS a reply is counted in the step that caused it, or it
     is lost and comes with a repeat: holders, promises and acknowledged configs only grow, so a
     late count only delays what nothing forces anyway, and shows values later (a weaker check).
   - A record is (ballot, kind): kind 0 is what the merge found, written again, kind k the owner's
     k-th write. Its content is the set of writes that it is made of. Bound: one record.
   - Bound: ballots are 1 to BALLOTS; any node may use any that nobody used (C1's rounds).
   - A takeover has the values it merged: Fetch (C6) and its time-outs are not modelled.
   - A Confirm round is one moment, and any home without a higher promise confirms (H4 also wants
     it to have promised that ballot).
   - DISKS: each node has memory and disk; a crash leaves what was synced. Without it a node's state
     is its disk, an owner's own Writes reach its disk late or never, and an owner that crashed is
     one that is silent. Bound: crashes are searched with a fixed home only. A home that owes a
     Promise syncs, or crashes, before it takes anything of another ballot.
   - CHANGES: the home goes through a fixed row of stages; a config is (ballot, stage). Bound: an
     owner cannot choose another target. Learners need not hold everything before the joint config
     (G2), and Retire may leave before the final config is held (G4). The config with learners that
     an heir drops at once (G5) has no id of its own.
   - Not modelled: the floor and expiry, bad copies, detached values, recovery, windows and batches,
     pauses, back-off, leases. The simulator's checkers look at those.
   What nobody asks for again is set to 0, so that states that differ in nothing else are one. Nodes
   that are alike need not all be tried as the first candidate: FIRST names those that are.

   Searched to the end without an error (homes as masks of nodes, lowest bit node 0):
     takeover_crashes       one home of 3, 3 ballots, crashes     11,202,469 states  1,372 MB
     takeover_four_ballots  one home of 3, 4 ballots               1,697,434 states    416 MB
     takeover_two_writes    one home of 3, 3 ballots, 2 writes     1,201,079 states    362 MB
     grow                   1 -> 3, 3 ballots                      7,728,624 states    969 MB
     shrink                 3 -> 1 of them, 2 ballots                150,900 states    272 MB
     move                   3 -> 1 other, 2 ballots                4,359,921 states    627 MB
     exchange               3 -> 3, one replaced, 2 ballots        7,603,735 states    900 MB
     return                 2 -> 1 -> the other, 3 ballots         1,931,119 states    438 MB
     back                   3 -> 1 -> the same 3, 2 ballots        2,092,074 states    420 MB
   One at a time on a core mostly their own: 27 s for takeover_crashes, 22 s for grow and exchange,
   12 s for move, below 10 s for the others, and 2 to 9 s to compile each; 65 s for all mutations
   and marks together. The test runs two at a time.
   A mutation (-DNAME, named as in shard::Mutations where the code has it, too) switches a rule off
   and must end in a violated assertion. O1's cannot be said here: a record's content is found by
   its (ballot, kind). OWN_COPY_ALWAYS: G3 with an own copy that its disk may lack. A mark
   (-DREACH=NAME) must be reached: its rare path is within the bounds. */

/* ---- Bounds: how many ballots, nodes and writes for each owner; home changes; the homes as masks;
   who may be the first candidate. ---- */
#ifndef BALLOTS
#define BALLOTS 3
#endif
#ifndef NODES
#define NODES 3
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef CHANGES
#define CHANGES 0
#endif
#ifndef HOME0
#define HOME0 7
#endif
#ifndef HOME1
#define HOME1 0
#endif
#ifndef HOME2
#define HOME2 0
#endif
#ifndef FIRST
#define FIRST 15
#endif
#if defined(DISKS) && (CHANGES || WRITES > 1 || BALLOTS > 3)
#error "DISKS: what a home owes has room for three ballots with one write each, and a fixed home"
#endif
#if WRITES > 2 || WRITES * BALLOTS > 8 || (CHANGES && WRITES > 1)
#error "at most two writes for each owner, eight in all, and one while the home changes"
#endif

/* ---- Marks. ---- */

#define LAST_BALLOT_COMMITS 1
#define LEFTOVER_MET 2
#define UNSETTLED_FOUND 3
#define TAKEOVER_IN_JOINT 4
#define TAKEOVER_WITH_LEARNERS 5
#define FINAL_BY_HEIR 6
#define NEWER_CONFIG_HEARD 7
#define OWNER_LEFT 8
#define LEAVER_IS_BACK 9
#define OWNER_CRASHED 10
#ifdef REACH
#define MARK(name) assert(name != REACH)
#else
#define MARK(name) skip
#endif
#define MARK_IF(name, condition) \
  if                             \
  :: (condition) -> MARK(name)   \
  :: else                        \
  fi

/* ---- Configs and quorums (quorum.hpp). A set of nodes is a mask.
   Stages of a change: 0: HOME0; 1: and learners; 2: joint; 3: HOME1; a second one goes on with 4:
   and learners; 5: joint; 6: HOME2. ---- */

#define BIT(n) (1 << (n))
#define IN(set, n) ((set) >> (n) & 1)
#define COUNT(set) (((set) & 1) + ((set) >> 1 & 1) + ((set) >> 2 & 1) + ((set) >> 3 & 1))
#define MAJORITY(home, set) (2 * COUNT((set) & (home)) > COUNT(home))

#ifdef JOINT_COUNTS_NEW_ONLY
#define JOINT(old, new, set) MAJORITY(new, set)
#elif defined(JOINT_COUNTS_OLD_ONLY)
#define JOINT(old, new, set) MAJORITY(old, set)
#else
#define JOINT(old, new, set) (MAJORITY(old, set) && MAJORITY(new, set))
#endif

/* Is there a stage with learners when the home goes from `old` to `new`? */
#if defined(NO_LEARNERS) || defined(NO_JOINT)
#define LEARNERS(old, new) 0
#else
#define LEARNERS(old, new) ((new) & ~(old))
#endif

#ifdef NO_JOINT
#define IN_JOINT(old, new) (old)
#else
#define IN_JOINT(old, new) ((old) | (new))
#endif

#if CHANGES == 0
#define STAGES 1
#define QUORUM(stage, set) MAJORITY(HOME0, set)
#define VOTERS(stage) HOME0
#elif CHANGES == 1
#define STAGES 4
#define QUORUM(stage, set)                                                                 \
  (((stage) <= 1 && MAJORITY(HOME0, set)) || ((stage) == 2 && JOINT(HOME0, HOME1, set)) || \
   ((stage) == 3 && MAJORITY(HOME1, set)))
#define VOTERS(stage) ((stage) <= 1 -> HOME0 : ((stage) == 2 -> IN_JOINT(HOME0, HOME1) : HOME1))
#define MEMBERS(stage) ((stage) == 1 -> HOME0 | LEARNERS(HOME0, HOME1) : VOTERS(stage))
/* Who was sent the records of some stage between those. */
#define SENT_TO(from, to) (MEMBERS(from) | MEMBERS(to))
/* Who was sent that stage's config, leavers too. */
#define MET(stage) ((stage) == 0 -> HOME0 : HOME0 | HOME1)
#define LEARNERS_AT(stage) LEARNERS(HOME0, HOME1)
#else
#define STAGES 7
#define QUORUM(stage, set)                                                                 \
  (((stage) <= 1 && MAJORITY(HOME0, set)) || ((stage) == 2 && JOINT(HOME0, HOME1, set)) || \
   (((stage) == 3 || (stage) == 4) && MAJORITY(HOME1, set)) ||                             \
   ((stage) == 5 && JOINT(HOME1, HOME2, set)) || ((stage) == 6 && MAJORITY(HOME2, set)))
#define VOTERS(stage)                                                \
  ((stage) <= 1 -> HOME0 : ((stage) == 2 -> IN_JOINT(HOME0, HOME1) : \
  ((stage) <= 4 -> HOME1 : ((stage) == 5 -> IN_JOINT(HOME1, HOME2) : HOME2))))
#define MEMBERS(stage)                              \
  ((stage) == 1 -> HOME0 | LEARNERS(HOME0, HOME1) : \
  ((stage) == 4 -> HOME1 | LEARNERS(HOME1, HOME2) : VOTERS(stage)))
#define SENT_TO(from, to) \
  (MEMBERS(from) | MEMBERS(to) | ((from) <= 3 && (to) >= 3 -> HOME1 : 0))
#define MET(stage) ((stage) == 0 -> HOME0 : ((stage) <= 3 -> HOME0 | HOME1 : HOME0 | HOME1 | HOME2))
#define LEARNERS_AT(stage) ((stage) == 1 -> LEARNERS(HOME0, HOME1) : LEARNERS(HOME1, HOME2))
#endif

/* A config's id, ordered like (ballot, seq), with its stage, which says what is in it. 0: the node
   knows nothing of the shard. */
#define CONFIG(b, stage) (1 + (b) * STAGES + (stage))
#define STAGE_OF(config) (((config) - 1) % STAGES)
#define OWNER_OF(config) (((config) - 1) / STAGES)

/* ---- Records, ordered like (ballot, version), and the set of writes in their contents: bit
   (ballot - 1) * WRITES + k - 1 is the k-th write of a ballot. 0: there is none. ---- */

#define RECORD(b, kind) ((b) * (WRITES + 1) + (kind))
#define BALLOT_OF(record) ((record) / (WRITES + 1))
#define KIND_OF(record) ((record) % (WRITES + 1))
#define WRITTEN(b, kind) ((BIT(kind) - 1) << (((b) - 1) * WRITES))
#define CONTENT(record)          \
  (own[BALLOT_OF(record)].base | \
   (BALLOT_OF(record) == 0 -> 0 : WRITTEN(BALLOT_OF(record), KIND_OF(record))))

/* ---- State. ---- */

/* Of a ballot: nobody used it; its own disk has not promised (C2); it collects promises; it owns
   the shard; it did, and its Writes are under way; it gave up. */
#define IDLE 0
#define ASKING 1
#define CANDIDATE 2
#define OWNER 3
#define OWNED 4
#define GONE 5

typedef Home {
  byte promised;
  byte record;
  byte config;
#ifdef DISKS
  byte owes_promise;  /* The ballot whose Promise waits for the disk. */
  byte owes_acks;     /* Two bits for each ballot: what count() will be told. */
#endif
};

typedef Owner {
  byte state;
  byte node;
  byte belief;     /* The newest config any answer named. */
  byte asked;      /* Nodes. */
  byte promises;   /* Nodes. */
  byte best;       /* The greatest record among the promises. */
  byte base;       /* Its content. */
  byte holders0;   /* Nodes that have `best` if that was settled, else (b, 0), or more. */
  byte holders1;   /* Nodes that have the first write, or more. */
#if WRITES > 1
  byte holders2;
#endif
  byte wrote;
  byte rewritten;  /* 0: `best` is settled; 1: it was not; 2: a leftover was met; 3: it is over. */
  byte committed;  /* 0: nothing is settled; 1: the base is; 1 + k: the k-th write is. */
#if CHANGES
  byte first;      /* The stage it took over. */
  byte stage;
  byte acked;      /* Nodes that acknowledged the present config. */
  byte wrote_at1;  /* The stage of the first write. */
#endif
#if defined(RESUME_BALLOT_AFTER_RESTART) || defined(OWN_PROMISE_LEFT_OUT)
  bit used;
#endif
};

Home home[NODES];
#ifdef DISKS
Home disk[NODES];
#define DURABLE(n) disk[n]
#else
#define DURABLE(n) home[n]
#endif
Owner own[BALLOTS + 1];
byte shown;            /* All writes that anybody was shown. */
hidden byte i, r, m, v;  /* Scratch within one step. */

#if CHANGES
#define AT(b) own[b].stage
#else
#define AT(b) 0
#endif

/* Nodes that would confirm ballot b (H4), by what no crash takes back. */
#define OPEN_AT(b, n) ((DURABLE(n).promised <= (b)) << (n))
#if NODES == 2
#define OPEN(b) (OPEN_AT(b, 0) | OPEN_AT(b, 1))
#elif NODES == 3
#define OPEN(b) (OPEN_AT(b, 0) | OPEN_AT(b, 1) | OPEN_AT(b, 2))
#else
#define OPEN(b) (OPEN_AT(b, 0) | OPEN_AT(b, 1) | OPEN_AT(b, 2) | OPEN_AT(b, 3))
#endif
#ifdef SKIP_CONFIRM
#define CONFIRMED(b) 1
#else
#define CONFIRMED(b) QUORUM(AT(b), OPEN(b))
#endif

#define ALIVE(b) (own[b].state >= ASKING && own[b].state <= OWNER)
#define OWNS(b) (own[b].state == OWNER)
#define SENDS(b) (own[b].state == OWNER || own[b].state == OWNED)

/* ---- What is checked. ---- */

#define COMMITTED(b) \
  (own[b].base | (own[b].committed > 1 -> WRITTEN(b, own[b].committed - 1) : 0))
#define READ(b) \
  assert(!OWNS(b) || !CONFIRMED(b) || (COMMITTED(b) & shown) == shown)

/* O4. Called whenever more is shown, more is served, or a quorum is another. */
inline check_reads() {
  READ(1);
  READ(2)
#if BALLOTS > 2
  ; READ(3)
#endif
#if BALLOTS > 3
  ; READ(4)
#endif
}

inline reveal(content) {
  m = content;
  assert((m & shown) == m || (m & shown) == shown);
  if
  :: (m | shown) != shown -> shown = shown | m; check_reads()
  :: else
  fi
}

/* ---- The end of a candidate or owner. ---- */

/* What nobody asks for any more is 0. */
inline clear(b) {
#if !defined(RESUME_BALLOT_AFTER_RESTART) && CHANGES < 2
  own[b].node = 0;
#endif
  own[b].belief = 0;
  own[b].asked = 0;
  own[b].promises = 0;
  own[b].holders0 = 0;
  own[b].holders1 = 0;
#if WRITES > 1
  own[b].holders2 = 0;
#endif
  own[b].committed = 0;
#if CHANGES
  own[b].acked = 0;
#endif
  if
  :: own[b].state == OWNED && own[b].rewritten == 2 -> own[b].rewritten = 3
  :: own[b].state != OWNED -> own[b].best = 0
  :: else
  fi
}

inline die(b) {
  own[b].state = (own[b].state == OWNER -> OWNED : (own[b].state == ASKING -> IDLE : GONE));
  clear(b)
}

/* H6: who has promised more gives up what it owns, or is a candidate with. */
inline obey(n) {
  i = 1;
  do
  :: i < home[n].promised ->
     if
     :: ALIVE(i) && own[i].node == n -> die(i)
     :: else
     fi;
     i++
  :: else -> break
  od;
  i = 0
}

inline promise(b, n) {
  if
  :: home[n].promised < b -> home[n].promised = b; obey(n)
  :: else
  fi
}

/* ---- Counting. ---- */

#ifdef JOINT_COMMITS_OLD_ONLY
#define COMMITS(b, set)                                                            \
  ((own[b].stage == 2 || (own[b].stage == 3 && !MAJORITY(HOME1, own[b].acked))) -> \
   MAJORITY(HOME0, set) : QUORUM(AT(b), set))
#else
#define COMMITS(b, set) QUORUM(AT(b), set)
#endif

/* O3: holders are a quorum of the present config. Committed is shown. */
inline commit(b) {
  if
  :: own[b].rewritten == 2 && COMMITS(b, own[b].holders0) -> own[b].rewritten = 3
  :: else
  fi;
  if
#if WRITES > 1
  :: own[b].wrote >= 2 && own[b].committed < 3 && COMMITS(b, own[b].holders2) ->
     own[b].committed = 3;
     reveal(own[b].base | WRITTEN(b, 2))
#endif
  :: own[b].wrote >= 1 && own[b].committed < 2 && COMMITS(b, own[b].holders1) ->
     own[b].committed = 2;
     MARK_IF(LAST_BALLOT_COMMITS, b == BALLOTS && own[b].base != 0);
     MARK_IF(LEAVER_IS_BACK, AT(b) == 6 && b == BALLOTS);
     reveal(own[b].base | WRITTEN(b, 1))
  :: own[b].committed < 1 && COMMITS(b, own[b].holders0) ->
     own[b].committed = 1;
     reveal(own[b].base)
  :: else
  fi
}

/* `what`: 1: the record that was settled at the merge; 2 + kind: one of this ballot. */
inline count(b, n, what) {
  if
  :: OWNS(b) && what == 1 && own[b].rewritten == 0 -> own[b].holders0 = own[b].holders0 | BIT(n)
  :: OWNS(b) && what >= 2 ->
     own[b].holders0 = own[b].holders0 | BIT(n);
     if
     :: what >= 3 -> own[b].holders1 = own[b].holders1 | BIT(n)
     :: else
     fi;
#if WRITES > 1
     if
     :: what >= 4 -> own[b].holders2 = own[b].holders2 | BIT(n)
     :: else
     fi;
#endif
     commit(b)
  :: else
  fi
}

#if CHANGES == 0 || defined(COUNT_OLD_ACKS)
#define COUNTS(b, n) 1
#else
/* O2, G1: an Ack counts from the stage on in which its node entered. */
#if CHANGES == 1
#define ENTERED(b, n) (own[b].first < 1 && !IN(HOME0, n) -> 1 : 0)
#else
#define ENTERED(b, n)                                            \
  (own[b].first < 4 && own[b].stage >= 4 && !IN(HOME1, n) -> 4 : \
  (own[b].first < 1 && !IN(HOME0, n) -> 1 : 0))
#endif
#define COUNTS(b, n)                \
  (OWNER_OF(home[n].config) == b && \
   (own[b].node == n || STAGE_OF(home[n].config) >= ENTERED(b, n)))
#endif

/* What an Ack of node n says to ballot b, as count() takes it. */
#define HELD(b, n)                                                 \
  (BALLOT_OF(home[n].record) == b -> 2 + KIND_OF(home[n].record) : \
  (own[b].rewritten == 0 && own[b].best != 0 && home[n].record >= own[b].best -> 1 : 0))

inline acknowledge(b, n) {
  if
  :: OWNS(b) && COUNTS(b, n) ->
#if CHANGES
     if
     :: home[n].config == CONFIG(b, own[b].stage) -> own[b].acked = own[b].acked | BIT(n)
     :: else
     fi;
#endif
     v = HELD(b, n);
#ifdef DISKS
     if
     :: v > (home[n].owes_acks >> (2 * (b) - 2) & 3) ->
        home[n].owes_acks = home[n].owes_acks & ~(3 << (2 * (b) - 2)) | v << (2 * (b) - 2)
     :: else
     fi
#ifdef ACKS_UNSYNCED
     ; count(b, n, v)
#endif
#else
     count(b, n, v)
#endif
  :: else
  fi
}

/* ---- Candidates: takeover.cpp, Shards::start, Shards::become_owner ---- */

#ifdef MERGE_BY_VERSION_ONLY
#define VERSION(record) COUNT8(CONTENT(record))
#define COUNT8(set) (COUNT(set) + COUNT((set) >> 4))
#define GREATER(record, than) (VERSION(record) > VERSION(than))
#else
#define GREATER(record, than) ((record) > (than))
#endif

/* C5. */
inline merge(b, n) {
  own[b].promises = own[b].promises | BIT(n);
  if
#ifdef OWN_COPY_ONLY
  :: own[b].node != n
#endif
  :: GREATER(home[n].record, own[b].best) ->
     own[b].best = home[n].record;
     own[b].holders0 = BIT(n)
  :: home[n].record == own[b].best -> own[b].holders0 = own[b].holders0 | BIT(n)
  :: else
  fi
}

#if BALLOTS == 2
#define NOBODY (own[1].state == IDLE && own[2].state == IDLE)
#elif BALLOTS == 3
#define NOBODY (own[1].state == IDLE && own[2].state == IDLE && own[3].state == IDLE)
#else
#define NOBODY \
  (own[1].state == IDLE && own[2].state == IDLE && own[3].state == IDLE && own[4].state == IDLE)
#endif

/* C1, C2: a voter of its own stored config, under a ballot above its own promise; itself first. */
#define MAY_START(b, n)                                                   \
  (own[b].state == IDLE && home[n].promised < b && home[n].config != 0 && \
   IN(VOTERS(STAGE_OF(home[n].config)), n) && (IN(FIRST, n) || !NOBODY))
inline start(b, n) {
  d_step {
    MAY_START(b, n) ->
    printf("node %d starts ballot %d\n", n, b);
    promise(b, n);
    own[b].node = n;
    own[b].belief = home[n].config;
    own[b].asked = VOTERS(STAGE_OF(own[b].belief));
#ifdef DISKS
    home[n].owes_promise = b;
#ifdef OWN_PROMISE_LEFT_OUT
    own[b].state = CANDIDATE
#else
    own[b].state = ASKING
#endif
#else
    own[b].state = CANDIDATE;
    merge(b, n)
#endif
  }
}

/* C3: the newest config that was named counts; who is not in it gives up. */
inline believe(b, config_named) {
  own[b].belief = config_named;
  own[b].asked = own[b].asked | VOTERS(STAGE_OF(own[b].belief));
  if
  :: !IN(VOTERS(STAGE_OF(own[b].belief)), own[b].node) -> die(b)
  :: else
  fi
}

#ifdef NO_CONFIG_CHECK
#define NOT_OLDER(b, n) 1
#else
#define NOT_OLDER(b, n) (home[n].config <= own[b].belief)
#endif
#ifdef DISKS
#define FREE(b, n) (home[n].owes_promise == 0 || home[n].owes_promise == (b))
#else
#define FREE(b, n) 1
#endif

/* H1: silent without state; an older config or a lower ballot is refused. */
#define MAY_PREPARE(b, n)                                                         \
  (own[b].state == CANDIDATE && IN(own[b].asked, n) && !IN(own[b].promises, n) && \
   home[n].config != 0 && home[n].promised <= b && NOT_OLDER(b, n) && FREE(b, n))
inline prepare(b, n) {
  d_step {
#ifdef DISKS
    (MAY_PREPARE(b, n) && home[n].owes_promise != b) ->
    printf("node %d promises ballot %d; it has (%d, %d)\n", n, b,
           BALLOT_OF(home[n].record), KIND_OF(home[n].record));
    promise(b, n);
    home[n].owes_promise = b
#ifdef PROMISES_UNSYNCED
    ; merge(b, n)
#endif
#else
    MAY_PREPARE(b, n) ->
    printf("node %d promises ballot %d; it has (%d, %d)\n", n, b,
           BALLOT_OF(home[n].record), KIND_OF(home[n].record));
    promise(b, n);
    merge(b, n)
#if defined(NO_CONFIG_CHECK) && !defined(IGNORE_NEWER_CONFIG)
    ;
    if
    :: home[n].config > own[b].belief -> believe(b, home[n].config)
    :: else
    fi
#endif
#endif
  }
}

#ifndef DISKS
/* The answer is lost. */
inline prepare_in_vain(b, n) {
  d_step {
    (MAY_PREPARE(b, n) && home[n].promised < b) ->
    printf("node %d promises ballot %d, and the answer is lost\n", n, b);
    promise(b, n)
  }
}
#endif

#ifdef ONE_PROMISE_ENOUGH
#define ENOUGH(b) (own[b].promises != 0)
#else
#define ENOUGH(b) QUORUM(STAGE_OF(own[b].belief), own[b].promises)
#endif
#if defined(UNSETTLED_AS_SETTLED)
#define SETTLED(b) 1
#else
#define SETTLED(b) QUORUM(AT(b), own[b].holders0)
#endif
/* G5: learners are dropped. */
#define WITHOUT_LEARNERS(stage) ((stage) % 3 == 1 -> (stage) - 1 : (stage))

/* C5, C6: what a quorum holds is settled; anything else is written again under this ballot. */
inline take_over(b) {
  d_step {
    (own[b].state == CANDIDATE && ENOUGH(b)) ->
    printf("ballot %d takes over; it found (%d, %d) on nodes %d\n", b,
           BALLOT_OF(own[b].best), KIND_OF(own[b].best), own[b].holders0);
    own[b].state = OWNER;
    own[b].base = CONTENT(own[b].best);
#if CHANGES
    MARK_IF(TAKEOVER_IN_JOINT, STAGE_OF(own[b].belief) % 3 == 2);
    MARK_IF(TAKEOVER_WITH_LEARNERS, STAGE_OF(own[b].belief) % 3 == 1);
    own[b].first = WITHOUT_LEARNERS(STAGE_OF(own[b].belief));
    own[b].stage = own[b].first;
#endif
    own[b].belief = 0;
    own[b].asked = 0;
    own[b].promises = 0;
    if
    :: own[b].best == 0 -> own[b].holders0 = 0; own[b].committed = 1
    :: own[b].best != 0 && SETTLED(b) -> own[b].committed = 1; reveal(own[b].base)
    :: else ->
       MARK(UNSETTLED_FOUND);
       own[b].rewritten = 1;
       own[b].holders0 = 0
#ifdef SHOW_UNSETTLED
       ; reveal(own[b].base)
#endif
#ifdef COUNT_OWN_UNSYNCED
       ; v = own[b].node;
       count(b, v, 2)
#endif
    fi;
    check_reads()
#ifdef DISKS
    ; r = own[b].node;
    if
    :: own[b].rewritten == 1 -> home[r].record = RECORD(b, 0); acknowledge(b, r)
    :: own[b].rewritten == 0 && own[b].best != 0 && home[r].record < own[b].best ->
       home[r].record = own[b].best; acknowledge(b, r)
    :: else
    fi
#endif
  }
}

/* ---- Owners: owner.cpp, catch_up.cpp ---- */

/* O1: made from what was proposed last, committed or not. */
inline write(b) {
  d_step {
    (OWNS(b) && own[b].wrote < WRITES) ->
    printf("ballot %d writes\n", b);
#if defined(RESUME_BALLOT_AFTER_RESTART) || defined(OWN_PROMISE_LEFT_OUT)
    assert(!own[b].used);
    own[b].used = 1;
#endif
    own[b].wrote++;
#if CHANGES
    own[b].wrote_at1 = own[b].stage;
#endif
#ifdef SHOW_UNCOMMITTED
    reveal(own[b].base | WRITTEN(b, own[b].wrote));
#endif
#ifdef COUNT_OWN_UNSYNCED
    v = own[b].node;
    count(b, v, 2 + own[b].wrote);
#endif
#ifdef DISKS
    r = own[b].node;
    home[r].record = RECORD(b, own[b].wrote);
    acknowledge(b, r)
#endif
  }
}

#ifdef NO_PROMISE_CHECK
#define ACCEPTS(b, n) FREE(b, n)
#else
#define ACCEPTS(b, n) (home[n].promised <= (b) && FREE(b, n))
#endif

/* H2: raise the promise, keep the greater record, answer with what is held. */
inline store(b, n, what) {
#ifndef NO_PROMISE_RAISE
  promise(b, n);
#endif
#ifdef NO_RECORD_ORDER
  home[n].record = what;
#else
  if
  :: home[n].record < what || (OWNS(b) && own[b].node == n) -> home[n].record = what
  :: else
  fi;
#endif
  acknowledge(b, n)
}

#define SELF(b, n) (OWNS(b) && own[b].node == n)

/* Nodes that such a Write was sent to. */
#if CHANGES
#define REACHES(b, n, from) (IN(SENT_TO(from, own[b].stage), n) || SELF(b, n))
/* The first of the owner's configs that such a Write could carry. */
inline carry(b, n, from) {
  r = from;
  do
  :: r < own[b].stage && !IN(MEMBERS(r), n) && !SELF(b, n) -> r++
  :: else -> break
  od;
  if
  :: home[n].config < CONFIG(b, r) -> home[n].config = CONFIG(b, r)
  :: else
  fi
}
#else
#define REACHES(b, n, from) 1
#define carry(b, n, from) home[n].config = 1
#endif

/* Anything that it would change. */
#ifdef NO_RECORD_ORDER
#define NEWS(b, n, what, holders) (home[n].record != (what))
#else
#define NEWS(b, n, what, holders) \
  (home[n].record < (what) || home[n].promised < b || (OWNS(b) && !IN(holders, n)))
#endif
/* The own copy takes them in order. */
#define IN_ORDER(b, n, what) \
  (!SELF(b, n) || BALLOT_OF(home[n].record) != b || home[n].record < (what))
#ifdef DISKS
/* Its owner has stored it at once. */
#define ELSEWHERE(b, n) (!SELF(b, n))
#else
#define ELSEWHERE(b, n) 1
#endif

inline deliver_settled(b, n) {
  d_step {
    (SENDS(b) && own[b].best != 0 && own[b].rewritten != 1 && ACCEPTS(b, n) &&
     REACHES(b, n, own[b].first) && ELSEWHERE(b, n) &&
     (home[n].record < own[b].best || home[n].promised < b ||
      (OWNS(b) && own[b].rewritten == 0 && !IN(own[b].holders0, n)))) ->
    printf("node %d gets what was settled before ballot %d\n", n, b);
    carry(b, n, own[b].first);
    store(b, n, own[b].best)
  }
}

inline deliver_rewritten(b, n) {
  d_step {
    (SENDS(b) && own[b].rewritten != 0 && ACCEPTS(b, n) && REACHES(b, n, own[b].first) &&
     ELSEWHERE(b, n) && NEWS(b, n, RECORD(b, 0), own[b].holders0) &&
     IN_ORDER(b, n, RECORD(b, 0))) ->
    printf("node %d gets (%d, 0)\n", n, b);
    carry(b, n, own[b].first);
    store(b, n, RECORD(b, 0))
  }
}

inline deliver_new(b, n, kind, have) {
  d_step {
    (SENDS(b) && own[b].wrote >= kind && ACCEPTS(b, n) && REACHES(b, n, own[b].wrote_at1) &&
     ELSEWHERE(b, n) && NEWS(b, n, RECORD(b, kind), have) &&
     IN_ORDER(b, n, RECORD(b, kind))) ->
    printf("node %d gets (%d, %d)\n", n, b, kind);
    carry(b, n, own[b].wrote_at1);
    store(b, n, RECORD(b, kind))
  }
}

/* O2: some home holds more than what was settled, and nobody promised it: written again, above. */
#if NODES == 2
#define SOME_ABOVE(r) (home[0].record > (r) || home[1].record > (r))
#elif NODES == 3
#define SOME_ABOVE(r) (home[0].record > (r) || home[1].record > (r) || home[2].record > (r))
#else
#define SOME_ABOVE(r)                                                      \
  (home[0].record > (r) || home[1].record > (r) || home[2].record > (r) || \
   home[3].record > (r))
#endif
inline meet_leftover(b) {
  d_step {
    (OWNS(b) && own[b].rewritten == 0 && own[b].best != 0 && own[b].wrote == 0 &&
     SOME_ABOVE(own[b].best)) ->
    printf("ballot %d meets a leftover\n", b);
    MARK(LEFTOVER_MET);
    own[b].rewritten = 2;
    own[b].holders0 = 0
#ifdef DISKS
    ; r = own[b].node;
    home[r].record = RECORD(b, 0);
    acknowledge(b, r)
#endif
  }
}

/* ---- Home changes: home_change.cpp ---- */

#if CHANGES
/* The owner has had, and so may have sent, the config of that stage. */
#ifdef NO_JOINT
#define EXISTS(stage) ((stage) % 3 == 0)
#else
#define EXISTS(stage) ((stage) % 3 != 1 || LEARNERS_AT(stage) != 0)
#endif
#define HAD(b, s) (SENDS(b) && EXISTS(s) && own[b].first <= s && s <= own[b].stage)

/* The own disk has a config after all that was written before it. */
#define BEFORE(b, s)                                          \
  (own[b].wrote > 0 && own[b].wrote_at1 < s -> RECORD(b, 1) : \
  (own[b].rewritten == 1 -> RECORD(b, 0) : own[b].best))
#define IN_LOG_ORDER(b, s, n) (!SELF(b, n) || home[n].record >= BEFORE(b, s))

/* A Write without records, late or in time. */
inline adopt(b, s, n) {
  d_step {
    (HAD(b, s) && home[n].promised <= b &&
     home[n].config < CONFIG(b, s) && (IN(MET(s), n) || home[n].config != 0) &&
     IN_LOG_ORDER(b, s, n)) ->
    printf("node %d gets the config of ballot %d, stage %d\n", n, b, s);
#ifndef NO_PROMISE_RAISE
    promise(b, n);
#endif
    home[n].config = CONFIG(b, s);
    acknowledge(b, n)
  }
}

/* C3: a Refuse names a newer config. */
inline learn(b, n) {
  d_step {
    (own[b].state == CANDIDATE && IN(own[b].asked, n) && home[n].promised <= b &&
     home[n].config > own[b].belief) ->
    printf("ballot %d hears of the config of node %d\n", b, n);
    MARK(NEWER_CONFIG_HEARD);
    believe(b, home[n].config)
  }
}

/* C3: a Refuse leaves unsynced, and what it named may be lost again. */
inline learn_unsynced(c, b, s) {
  d_step {
    (own[c].state == CANDIDATE && HAD(b, s) &&
     CONFIG(b, s) > own[c].belief && (own[c].asked & MET(s) & OPEN(b)) != 0) ->
    printf("ballot %d hears of the config of ballot %d, stage %d\n", c, b, s);
    believe(c, CONFIG(b, s))
  }
}

inline move(b, to) {
  own[b].stage = to;
  own[b].acked = 0;
  commit(b);
  check_reads()
}

/* O2, G1: nobody enters as a holder. */
inline enter(b, newcomers) {
#ifndef COUNT_OLD_ACKS
  /* An owner that left and comes back has dropped nothing. */
  m = (newcomers) & ~BIT(own[b].node);
  own[b].holders0 = own[b].holders0 & ~m;
  own[b].holders1 = own[b].holders1 & ~m;
  m = 0
#else
  skip
#endif
}

/* Nodes that hold the current version, when there is one. */
#define CURRENT(b) \
  (own[b].wrote > 0 -> own[b].holders1 : (own[b].best != 0 -> own[b].holders0 : 15))
#define ALL_COMMITTED(b) (own[b].committed == 1 + own[b].wrote && own[b].rewritten != 2)

/* G1: the config is on a quorum's disks; to learners, or at once to joint. */
inline begin_change(b, s, old, new) {
  d_step {
    (OWNS(b) && own[b].stage == s && MAJORITY(old, own[b].acked)
#if !defined(NO_JOINT) && !defined(NO_LEARNERS)
     && (LEARNERS(old, new) != 0 || MAJORITY(new, own[b].acked))
#endif
    ) ->
    printf("ballot %d leaves stage %d\n", b, s);
    enter(b, (new) & ~(old));
#ifdef NO_JOINT
    move(b, s + 3)
#else
    move(b, s + (LEARNERS(old, new) != 0 -> 1 : 2))
#endif
  }
}

/* G2: a majority of the target has acknowledged the config that names it. */
inline make_joint(b, s, old, new) {
  d_step {
    (OWNS(b) && own[b].stage == s && MAJORITY(old, own[b].acked) && MAJORITY(new, own[b].acked)) ->
    printf("ballot %d leaves stage %d\n", b, s);
    move(b, s + 1)
  }
}

/* The own copy counts when the own disk has the joint config, and so all before it. */
#ifdef OWN_COPY_ALWAYS
#define OWN_COPY(b) BIT(own[b].node)
#else
#define OWN_COPY(b) (own[b].acked & BIT(own[b].node))
#endif
/* G3: a joint quorum has the config, and everything current. */
inline make_final(b, s, old, new) {
  d_step {
    (OWNS(b) && own[b].stage == s
#ifndef FINAL_UNSETTLED
     && JOINT(old, new, own[b].acked) && ALL_COMMITTED(b) &&
     MAJORITY(new, (CURRENT(b) & ~BIT(own[b].node)) | OWN_COPY(b))
#endif
    ) ->
    printf("ballot %d leaves stage %d\n", b, s);
    MARK_IF(FINAL_BY_HEIR, own[b].first == s);
    move(b, s + 1)
  }
}

/* An owner tells others that they left, and leaves itself at its last config. Who owned a ballot is
   not kept when nobody can come back: a former owner may then be told, too. */
#if CHANGES == 2
#define MAY_TELL(b, s, n) (own[b].node != n || (OWNS(b) && own[b].stage == s))
#else
#define MAY_TELL(b, s, n) (!SELF(b, n) || own[b].stage == s)
#endif
/* G4, H5: the records go; promise and config stay. */
inline retire(b, s, n) {
  d_step {
    (HAD(b, s) && MAY_TELL(b, s, n) &&
#ifdef RETIRE_ANY
     home[n].config != 0 &&
#else
     home[n].config == CONFIG(b, s) &&
#endif
     !IN(VOTERS(s), n) && home[n].record != 0) ->
    printf("node %d is retired by ballot %d, stage %d\n", n, b, s);
    home[n].record = 0;
#ifdef STUB_FORGETS
    home[n].promised = 0;
    home[n].config = 0;
#endif
    if
    :: OWNS(b) && own[b].node == n ->
       MARK(OWNER_LEFT);
       die(b)
    :: else
    fi
  }
}
#endif

/* ---- Disks and crashes. ---- */

#ifdef DISKS
inline write_out(n) {
  disk[n].promised = home[n].promised;
  disk[n].record = home[n].record;
  disk[n].config = home[n].config
}
#define UNSYNCED(n)                                                                           \
  (home[n].owes_promise != 0 || home[n].owes_acks != 0 || home[n].record != disk[n].record || \
   home[n].promised != disk[n].promised)

inline sync(n) {
  d_step {
    UNSYNCED(n) ->
    printf("node %d syncs\n", n);
    write_out(n);
    m = home[n].owes_promise;
    home[n].owes_promise = 0;
    if
    :: m != 0 && own[m].state == ASKING && own[m].node == n -> own[m].state = CANDIDATE; merge(m, n)
    :: m != 0 && own[m].state == CANDIDATE && IN(own[m].asked, n) && !IN(own[m].promises, n) ->
       merge(m, n)
    :: else
    fi;
    count(1, n, (home[n].owes_acks & 3));
    count(2, n, (home[n].owes_acks >> 2 & 3));
#if BALLOTS > 2
    count(3, n, (home[n].owes_acks >> 4 & 3));
#endif
    home[n].owes_acks = 0
  }
}

/* What was owed is lost on the way. */
inline sync_in_vain(n) {
  d_step {
    (UNSYNCED(n) && (home[n].owes_promise == 0 || own[home[n].owes_promise].node != n ||
     own[home[n].owes_promise].state != ASKING)) ->
    printf("node %d syncs, its replies are lost\n", n);
    write_out(n);
    home[n].owes_promise = 0;
    home[n].owes_acks = 0
  }
}

inline crash(n) {
  d_step {
    (UNSYNCED(n) || (ALIVE(1) && own[1].node == n) || (ALIVE(2) && own[2].node == n)
#if BALLOTS > 2
     || (ALIVE(3) && own[3].node == n)
#endif
    ) ->
    printf("node %d crashes\n", n);
    home[n].promised = disk[n].promised;
    home[n].record = disk[n].record;
    home[n].config = disk[n].config;
    home[n].owes_promise = 0;
    home[n].owes_acks = 0;
    i = 1;
    do
    :: i <= BALLOTS ->
       if
       :: ALIVE(i) && own[i].node == n ->
          MARK_IF(OWNER_CRASHED, own[i].wrote > 0 && own[i].committed == 1);
#ifdef OWN_PROMISE_LEFT_OUT
          if
          :: disk[n].promised < i ->
             own[i].state = IDLE;
             own[i].base = 0;
             own[i].wrote = 0;
             own[i].rewritten = 0;
             clear(i)
          :: else -> die(i)
          fi
#else
          die(i)
#endif
       :: else
       fi;
       i++
    :: else -> break
    od;
    i = 0
  }
}
#endif

#ifdef RESUME_BALLOT_AFTER_RESTART
inline resume(b) {
  d_step {
    (own[b].state == OWNED && home[own[b].node].promised == b &&
     home[own[b].node].record < RECORD(b, 1)) ->
    printf("node %d goes on with ballot %d\n", own[b].node, b);
    own[b].state = OWNER;
    own[b].wrote = 0
  }
}
#endif

#ifdef SAME_IDENTITY
inline wipe(n) {
  d_step {
    (home[n].record != 0) ->
    printf("node %d loses its disk\n", n);
    home[n].promised = BALLOTS + 1;
    obey(n);
    home[n].promised = 0;
    home[n].record = 0;
    home[n].config = 0
  }
}
#endif

#ifdef HOMES_REPAIR
inline repair(n, from) {
  d_step {
    (home[n].record < home[from].record && home[n].config != 0) ->
    printf("node %d copies from node %d\n", n, from);
    home[n].record = home[from].record
  }
}
#endif

/* ---- The world: whatever may happen next. ---- */

#if BALLOTS == 2
#define EACH_BALLOT(A) A(1) A(2)
#define EACH_PAIR(A) EACH_NODE(A, 1) EACH_NODE(A, 2)
#elif BALLOTS == 3
#define EACH_BALLOT(A) A(1) A(2) A(3)
#define EACH_PAIR(A) EACH_NODE(A, 1) EACH_NODE(A, 2) EACH_NODE(A, 3)
#else
#define EACH_BALLOT(A) A(1) A(2) A(3) A(4)
#define EACH_PAIR(A) EACH_NODE(A, 1) EACH_NODE(A, 2) EACH_NODE(A, 3) EACH_NODE(A, 4)
#endif
#if NODES == 2
#define EACH_NODE(A, b) A(b, 0) A(b, 1)
#elif NODES == 3
#define EACH_NODE(A, b) A(b, 0) A(b, 1) A(b, 2)
#else
#define EACH_NODE(A, b) A(b, 0) A(b, 1) A(b, 2) A(b, 3)
#endif

#define START(b, n) :: start(b, n)
#define PREPARE(b, n) :: prepare(b, n)
#define PREPARE_IN_VAIN(b, n) :: prepare_in_vain(b, n)
#define TAKE_OVER(b) :: take_over(b)
#define WRITE(b) :: write(b)
#define DELIVER_SETTLED(b, n) :: deliver_settled(b, n)
#define DELIVER_REWRITTEN(b, n) :: deliver_rewritten(b, n)
#define DELIVER_NEW1(b, n) :: deliver_new(b, n, 1, own[b].holders1)
#define DELIVER_NEW2(b, n) :: deliver_new(b, n, 2, own[b].holders2)
#define MEET_LEFTOVER(b) :: meet_leftover(b)
#define LEARN(b, n) :: learn(b, n)
#define RESUME(b) :: resume(b)
#define WIPE(b, n) :: wipe(n)
#define REPAIR(b, n) :: repair(n, 0) :: repair(n, 1) :: repair(n, 2)
#define DISK(b, n) :: sync(n) :: sync_in_vain(n) :: crash(n)
#if CHANGES == 1
#define ADOPT(b, n) :: adopt(b, 0, n) :: adopt(b, 1, n) :: adopt(b, 2, n) :: adopt(b, 3, n)
#define RETIRE(b, n) :: retire(b, 0, n) :: retire(b, 3, n)
#define LEARN_UNSYNCED(c, b)                                                       \
  :: learn_unsynced(c, b, 0) :: learn_unsynced(c, b, 1) :: learn_unsynced(c, b, 2) \
  :: learn_unsynced(c, b, 3)
#define CHANGE(b)                                                       \
  :: begin_change(b, 0, HOME0, HOME1) :: make_joint(b, 1, HOME0, HOME1) \
  :: make_final(b, 2, HOME0, HOME1)
#elif CHANGES == 2
#define ADOPT(b, n)                                                       \
  :: adopt(b, 0, n) :: adopt(b, 1, n) :: adopt(b, 2, n) :: adopt(b, 3, n) \
  :: adopt(b, 4, n) :: adopt(b, 5, n) :: adopt(b, 6, n)
#define RETIRE(b, n) :: retire(b, 0, n) :: retire(b, 3, n) :: retire(b, 6, n)
#define LEARN_UNSYNCED(c, b)                                                       \
  :: learn_unsynced(c, b, 0) :: learn_unsynced(c, b, 1) :: learn_unsynced(c, b, 2) \
  :: learn_unsynced(c, b, 3) :: learn_unsynced(c, b, 4) :: learn_unsynced(c, b, 5) \
  :: learn_unsynced(c, b, 6)
#define CHANGE(b)                                                       \
  :: begin_change(b, 0, HOME0, HOME1) :: make_joint(b, 1, HOME0, HOME1) \
  :: make_final(b, 2, HOME0, HOME1) :: begin_change(b, 3, HOME1, HOME2) \
  :: make_joint(b, 4, HOME1, HOME2) :: make_final(b, 5, HOME1, HOME2)
#endif

inline found(n) {
  home[n].config = IN(HOME0, n);
#ifdef DISKS
  disk[n].config = IN(HOME0, n)
#endif
}

init {
  d_step {
    found(0);
    found(1)
#if NODES > 2
    ; found(2)
#endif
#if NODES > 3
    ; found(3)
#endif
  }
  do
  EACH_PAIR(START)
  EACH_PAIR(PREPARE)
#ifndef DISKS
  EACH_PAIR(PREPARE_IN_VAIN)
#endif
  EACH_BALLOT(TAKE_OVER)
  EACH_BALLOT(WRITE)
  EACH_PAIR(DELIVER_SETTLED)
  EACH_PAIR(DELIVER_REWRITTEN)
  EACH_PAIR(DELIVER_NEW1)
#if WRITES > 1
  EACH_PAIR(DELIVER_NEW2)
#endif
  EACH_BALLOT(MEET_LEFTOVER)
#ifdef DISKS
  EACH_NODE(DISK, 0)
#endif
#ifdef RESUME_BALLOT_AFTER_RESTART
  EACH_BALLOT(RESUME)
#endif
#ifdef SAME_IDENTITY
  EACH_NODE(WIPE, 0)
#endif
#ifdef HOMES_REPAIR
  EACH_NODE(REPAIR, 0)
#endif
#if CHANGES
  EACH_PAIR(ADOPT)
#ifndef IGNORE_NEWER_CONFIG
  EACH_PAIR(LEARN)
  LEARN_UNSYNCED(2, 1)
#if BALLOTS > 2
  LEARN_UNSYNCED(3, 1)
  LEARN_UNSYNCED(3, 2)
#endif
#endif
  EACH_BALLOT(CHANGE)
  EACH_PAIR(RETIRE)
#endif
  od
}
