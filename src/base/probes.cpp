#include "base/probes.hpp"

namespace shoal::probes {
namespace {

template <class Probe>
struct Named {
  Probe probe;
  std::string_view text;
};

constexpr std::array<Named<Mark>, kMarkCount> kMarks{{
    {Mark::late_write_refused, "late write refused"},
    {Mark::write_raised_promise, "promise raised by a write"},
    {Mark::newer_record_kept, "newer record kept"},
    {Mark::config_unknown, "write names an unknown config"},
    {Mark::prepare_refused, "prepare refused"},
    {Mark::old_config_refused, "older config refused"},
    {Mark::late_fetch_refused, "late fetch refused"},
    {Mark::confirm_refused, "confirm refused"},
    {Mark::stub_refused_write, "stub refused a stale write"},
    {Mark::retired, "home retired"},
    {Mark::retire_ignored, "retire of another config ignored"},
    {Mark::floor_refused, "floor refused for skew"},
    {Mark::gone_answered, "gone record answered"},
    {Mark::duel, "duel"},
    {Mark::newer_config_adopted, "newer config adopted"},
    {Mark::abstained, "abstained for a bad copy"},
    {Mark::record_blocked, "record blocked by bad copies"},
    {Mark::record_freed, "blocked record freed"},
    {Mark::record_unsettled, "unsettled record written again"},
    {Mark::fetch_timed_out, "fetch timed out"},
    {Mark::takeover_restarted, "takeover begun again for want of a holder"},
    {Mark::takeover_in_joint, "takeover in joint config"},
    {Mark::takeover_with_learners, "takeover with learners"},
    {Mark::owner_refused, "owner refused"},
    {Mark::owner_promised_other, "owner promised another"},
    {Mark::leftover_met, "leftover met"},
    {Mark::old_ack_ignored, "ack of an older config ignored"},
    {Mark::home_silent, "home silent"},
    {Mark::home_caught_up, "home caught up"},
    {Mark::window_full, "window full"},
    {Mark::digest_after_takeover, "digest after the takeover"},
    {Mark::confirm_failed, "confirm round failed"},
    {Mark::confirm_repeated, "confirm repeated"},
    {Mark::home_change_began, "home change began"},
    {Mark::home_change_joint, "home change joint"},
    {Mark::home_change_final, "home change final"},
    {Mark::home_handed_over, "home handed over"},
    {Mark::floor_raised, "floor raised"},
    {Mark::expired_given, "expired given to an unfinished task"},
    {Mark::expiring_refused, "expiring change refused"},
    {Mark::shard_recovered, "shard recovered"},
    {Mark::complaint_heard, "complaint heard"},
    {Mark::candidate_yielded, "candidate yielded"},
    {Mark::shard_taken_back, "shard taken back"},
    {Mark::fence_fired, "fence fired"},
    {Mark::lease_lapsed, "lease lapsed"},
    {Mark::late_renewal, "late renewal did not revive"},
    {Mark::claim_stalled, "claim not committed in time"},
    {Mark::late_grant_dropped, "late grant dropped"},
    {Mark::grant_unknown, "grant of an unknown transfer"},
    {Mark::grant_claim_gone, "grant found its claim gone"},
    {Mark::pull_repeated, "pull repeated"},
    {Mark::claim_found, "claim found by a new owner"},
    {Mark::absent_claim_released, "absent claim released"},
    {Mark::old_outcome_ignored, "outcome of an old attempt ignored"},
    {Mark::outcome_repeated, "outcome repeated"},
    {Mark::task_lost, "task lost with its nodes"},
    {Mark::unstarted_returned, "unstarted grant returned"},
    {Mark::attempt_recovered, "attempt recovered after a restart"},
    {Mark::lease_lengthened, "lease lengthened"},
    {Mark::call_redirected, "call redirected"},
    {Mark::call_retried, "call retried"},
    {Mark::watch_restarted, "watch begun again"},
    {Mark::refuted, "accusation refuted"},
    {Mark::death_declared, "death declared"},
    {Mark::second_opinion, "second opinion wanted"},
    {Mark::stale_claim_told, "stale claim answered"},
    {Mark::local_health_worst, "local health at its worst"},
    {Mark::rolled_back_refused, "rolled-back store refused"},
    {Mark::same_key_refused, "second node of one key refused"},
}};

constexpr std::array<Named<Site>, kSiteCount> kSites{{
    {Site::shard_message_lost, "shard message lost"},
    {Site::grant_lost, "grant lost"},
    {Site::outcome_lost, "outcome lost"},
    {Site::outcome_ack_lost, "outcome ack lost"},
    {Site::owner_answer_lost, "owner's answer lost"},
    {Site::hint_lost, "hint lost"},
    {Site::renewal_late, "renewal late"},
    {Site::pull_refused, "pull refused"},
    {Site::write_repeated, "write repeated"},
    {Site::fetch_late, "fetch late"},
    {Site::flush_late, "flush late"},
    {Site::digest_in_pages, "digest in pages"},
    {Site::batch_cut, "batch cut"},
    {Site::catch_up_slow, "catch-up slow"},
    {Site::candidate_hasty, "candidate hasty"},
    {Site::owner_anew, "owner begins anew"},
    {Site::table_not_spread, "table not spread"},
}};

template <class Table>
constexpr bool in_order(const Table& table) {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].probe) != i || table[i].text.empty()) return false;
  }
  return true;
}
static_assert(in_order(kMarks) && in_order(kSites), "each enumerator has its line, in their order");

}  // namespace

std::string_view to_string(Mark mark) { return kMarks.at(static_cast<std::size_t>(mark)).text; }
std::string_view to_string(Site site) { return kSites.at(static_cast<std::size_t>(site)).text; }

void Sites::arm_some(std::uint32_t percent) {
  for (std::uint32_t& permille : permille_) {
    if (!random_.chance(percent, 100)) continue;
    // Mostly rare, sometimes frequent: what fails a quarter of the time hides what comes after it.
    constexpr std::array<std::uint32_t, 4> kFrequencies{5, 20, 80, 250};
    permille = kFrequencies.at(random_.below(kFrequencies.size()));
  }
}

bool Sites::fires(Site site) {
  const auto index = static_cast<std::size_t>(site);
  const std::uint32_t permille = permille_.at(index);
  if (permille == 0 || !random_.chance(permille, 1000)) return false;
  ++fired_.at(index);
  return true;
}

}  // namespace shoal::probes
