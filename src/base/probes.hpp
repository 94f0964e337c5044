// Two kinds of probes in production code, for simulations. A mark says that a rare path was
// reached, so that a test can prove it ("sometimes" assertions, as Antithesis and FoundationDB have
// them). A site is a place where the simulator may make something fail that the real world can make
// fail too (FoundationDB's buggify).
//
// Nobody listens outside of simulations: a mark, or a question whether a site fails, is then the
// look at one pointer. Both kinds are enumerated, so a report can say which were not reached.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/random.hpp"

namespace shoal::probes {

enum class Mark : std::uint8_t {
  // A home (H1-H7).
  late_write_refused,    // H2: below the promise.
  write_raised_promise,  // H2: this home never saw the Prepare.
  newer_record_kept,     // H2: an older version came after a newer one.
  config_unknown,        // H2: the Write names a config that this home does not hold.
  prepare_refused,       // H1: below the promise.
  old_config_refused,    // H1: the candidate's config is older.
  late_fetch_refused,    // H3.
  confirm_refused,       // H4.
  stub_refused_write,    // H5: a node that left kept its promise.
  retired,               // H5.
  retire_ignored,        // H5: it named another config.
  floor_refused,         // E2: beyond the home's own clock.
  gone_answered,         // H2: a record at or below the floor was sent.
  // A candidate (C1-C6).
  duel,                    // C4: refused with a higher ballot.
  newer_config_adopted,    // C3.
  abstained,               // C5: a bad copy did not count.
  record_blocked,          // C5: too few good copies.
  record_freed,            // C5: a later promise stood in for bad copies.
  record_unsettled,        // C5: not on a quorum, written again.
  fetch_timed_out,         // C6: a holder did not answer.
  takeover_restarted,      // C6: no holder was left to ask.
  takeover_in_joint,       // G5.
  takeover_with_learners,  // G5.
  // An owner (O1-O5, G1-G4, E1-E3).
  owner_refused,          // O5.
  owner_promised_other,   // H6.
  leftover_met,           // O2: a home holds what nobody promised.
  old_ack_ignored,        // O2: of a config before the node entered.
  home_silent,            // Its writes were not answered in time.
  home_caught_up,         // All it lacked is under way.
  window_full,            // So many writes unanswered that only ids are kept.
  digest_after_takeover,  // A home that did not promise told what it holds.
  confirm_failed,         // O4: no quorum in time, or the ballot is lost.
  confirm_repeated,       // O4: some home had not answered.
  home_change_began,      // G1.
  home_change_joint,      // G2.
  home_change_final,      // G3.
  home_handed_over,       // G4.
  floor_raised,           // E1.
  expired_given,          // E1: an unfinished task got its outcome.
  expiring_refused,       // E3.
  shard_recovered,
  // Takeover triggers.
  complaint_heard,  // Somebody whom the owner left unanswered said so.
  candidate_yielded,
  shard_taken_back,  // By rank 0.
  // Work.
  fence_fired,            // The executing node ended an attempt whose lease was over.
  lease_lapsed,           // The owner released a claim whose lease was over.
  late_renewal,           // L4: it did not revive the claim.
  claim_stalled,          // Not committed in time: it keeps no room.
  late_grant_dropped,     // L1: over before it could begin.
  grant_unknown,          // A transfer nobody waits for any more.
  grant_claim_gone,       // The claim was changed before the grant could leave.
  pull_repeated,          // Answered alike.
  claim_found,            // By a new owner.
  absent_claim_released,  // Hole 15.
  old_outcome_ignored,    // Not of the current attempt.
  outcome_repeated,
  task_lost,  // Hole 24: its nodes died once too often.
  unstarted_returned,
  attempt_recovered,  // A restarted node found it under its supervisor.
  lease_lengthened,
  // A gateway.
  call_redirected,  // The asked node does not own the shard.
  call_retried,     // An owner was silent.
  watch_restarted,  // Events were lost on the way.
  // Membership and identity.
  refuted,
  death_declared,
  second_opinion,    // Too few accusers for a death.
  stale_claim_told,  // A dead member that somebody holds alive was told so.
  local_health_worst,
  rolled_back_refused,  // Hole 7b.
  same_key_refused,     // Hole 7c.
  count_,
};

// Each is legal for a network, a disk or a scheduler at any time.
enum class Site : std::uint8_t {
  shard_message_lost,  // As by a full queue.
  grant_lost,
  outcome_lost,
  outcome_ack_lost,
  owner_answer_lost,
  hint_lost,
  renewal_late,     // By one round.
  pull_refused,     // As if there were nothing.
  write_repeated,   // An unanswered write counts as lost.
  fetch_late,       // A holder counts as silent.
  flush_late,       // What was proposed leaves with the next input.
  digest_in_pages,  // Of few entries.
  batch_cut,        // A flush leaves in several messages.
  catch_up_slow,    // One item at a time.
  candidate_hasty,  // A takeover from an owner that is well.
  owner_anew,       // An owner begins again with a higher ballot.
  table_not_spread,
  count_,
};

inline constexpr std::size_t kMarkCount = static_cast<std::size_t>(Mark::count_);
inline constexpr std::size_t kSiteCount = static_cast<std::size_t>(Site::count_);

std::string_view to_string(Mark mark);  // For people: a phrase.
std::string_view to_string(Site site);

// How often each mark was reached.
struct Marks {
  std::array<std::uint64_t, kMarkCount> counts{};
  std::uint64_t operator[](Mark mark) const { return counts[static_cast<std::size_t>(mark)]; }
};

// Which sites fail, and how often. A function of the seed.
class Sites {
 public:
  explicit Sites(std::uint64_t seed) : random_(seed) {}

  void arm(Site site, std::uint32_t permille) {
    permille_[static_cast<std::size_t>(site)] = permille;
  }
  // Each site with a probability of `percent`, each with a frequency of its own up to 1/4.
  void arm_some(std::uint32_t percent);
  void disarm() { permille_ = {}; }

  bool fires(Site site);
  std::uint64_t fired(Site site) const { return fired_[static_cast<std::size_t>(site)]; }

 private:
  Random random_;
  std::array<std::uint32_t, kSiteCount> permille_{};
  std::array<std::uint64_t, kSiteCount> fired_{};
};

// Of the process, like the log's sink: the simulator sets them. Null: nobody listens, nothing
// fails.
inline Marks* listener = nullptr;
inline Sites* armed = nullptr;

inline void mark(Mark reached) {
  if (listener != nullptr) ++listener->counts[static_cast<std::size_t>(reached)];
}

inline bool fails(Site site) { return armed != nullptr && armed->fires(site); }

}  // namespace shoal::probes
