#include "cli/shards.hpp"

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

#include "base/format.hpp"

namespace shoal::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kQuestionsAtOnce = 32;  // To one node.

bool among(const std::vector<NodeId>& nodes, NodeId node) {
  return std::ranges::find(nodes, node) != nodes.end();
}

// Questions on their way. Each node has workers of its own: one that is silent holds nobody up.
struct Survey {
  std::vector<CopyQuestion> questions;
  std::vector<FoundCopy> found;
  std::map<NodeId, std::deque<std::size_t>> waiting;
  SteadyClock::time_point deadline;
  std::size_t workers = 0;
};

asio::awaitable<void> survey_worker(Program& program, std::shared_ptr<Survey> work, NodeId node) {
  std::deque<std::size_t>& waiting = work->waiting.at(node);
  while (!waiting.empty()) {
    const std::size_t at = waiting.front();
    waiting.pop_front();
    FoundCopy& found = work->found[at];
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(work->deadline - SteadyClock::now());
    if (left.count() <= 0) {
      found.why = "no answer";
      continue;
    }
    auto copy = co_await program.client().shard_copy(node, work->questions[at].shard, left);
    if (copy) {
      found.copy = std::move(*copy);
    } else {
      found.why = copy.error().code == ErrorCode::unavailable ? "no answer" : copy.error().message;
    }
  }
  --work->workers;
}

void add_question(std::vector<CopyQuestion>& questions, const ShardReport& report, NodeId node) {
  if (!node || report.find(node) != nullptr) return;
  const auto same = [&](const CopyQuestion& one) {
    return one.node == node && one.shard == report.known.shard;
  };
  // The questions about one shard stand together, at the end.
  for (auto at = questions.rbegin(); at != questions.rend(); ++at) {
    if (at->shard != report.known.shard) break;
    if (same(*at)) return;
  }
  questions.push_back({node, report.known.shard});
}

asio::awaitable<void> ask_into(Program& program, const Roster& roster,
                               std::vector<ShardReport>& reports,
                               std::vector<CopyQuestion> questions) {
  std::map<ShardId, std::size_t> index;
  for (std::size_t i = 0; i < reports.size(); ++i) index[reports[i].known.shard] = i;
  const std::vector<CopyQuestion> asked = questions;
  std::vector<FoundCopy> found = co_await ask_copies(program, roster, std::move(questions));
  for (std::size_t i = 0; i < asked.size(); ++i) {
    reports[index.at(asked[i].shard)].copies.push_back(std::move(found[i]));
  }
}

std::string counted(std::size_t count, std::string_view one, std::string_view many) {
  return format("{} {}", count, count == 1 ? one : many);
}

// "1 of 3 homes is gone (n3)".
std::string gone_text(const std::vector<NodeId>& nodes, const Roster& roster,
                      std::string_view word) {
  std::string names;
  std::size_t gone = 0;
  for (const NodeId node : nodes) {
    if (roster.present(node)) continue;
    ++gone;
    names +=
        format("{}{} {}", names.empty() ? "" : ", ", roster.full_name(node), roster.state(node));
  }
  return format("{} of {} {} {} gone ({})", gone, nodes.size(), word, gone == 1 ? "is" : "are",
                names);
}

bool all_present(const std::vector<NodeId>& nodes, const Roster& roster) {
  return std::ranges::all_of(nodes, [&](NodeId node) { return roster.present(node); });
}

std::string owner_problem(const ShardReport& report, const Roster& roster) {
  if (report.owner() != nullptr) return {};
  const NodeId owner = report.known.owner;
  if (!owner) return "no owner is known";
  if (!roster.present(owner)) {
    return format("its owner {} is {}", roster.full_name(owner), roster.state(owner));
  }
  const FoundCopy* copy = report.find(owner);
  if (copy != nullptr && !copy->copy) {
    return format("its owner {} does not answer", roster.full_name(owner));
  }
  return "nobody says that it owns it";
}

}  // namespace

asio::awaitable<std::vector<FoundCopy>> ask_copies(Program& program, const Roster& roster,
                                                   std::vector<CopyQuestion> questions) {
  constexpr std::chrono::milliseconds kStep{10};
  const auto work = std::make_shared<Survey>();
  work->questions = std::move(questions);
  work->found.resize(work->questions.size());
  work->deadline = SteadyClock::now() + kSurveyMax;
  for (std::size_t i = 0; i < work->questions.size(); ++i) {
    const NodeId node = work->questions[i].node;
    work->found[i].node = node;
    if (roster.present(node)) {
      work->waiting[node].push_back(i);
    } else {
      work->found[i].why = roster.state(node);
    }
  }
  for (const auto& [node, waiting] : work->waiting) {
    const std::size_t count = std::min(kQuestionsAtOnce, waiting.size());
    work->workers += count;
    for (std::size_t i = 0; i < count; ++i) program.spawn(survey_worker(program, work, node));
  }
  while (work->workers > 0) co_await program.sleep(kStep);
  co_return std::move(work->found);
}

const FoundCopy* ShardReport::owner() const {
  const FoundCopy* best = nullptr;
  for (const FoundCopy& found : copies) {
    if (!found.copy || found.copy->role != ShardRole::owner) continue;
    if (best == nullptr || best->copy->promised < found.copy->promised) best = &found;
  }
  return best;
}

const FoundCopy* ShardReport::find(NodeId node) const {
  const auto found = std::ranges::find(copies, node, &FoundCopy::node);
  return found == copies.end() ? nullptr : &*found;
}

const ShardCopy* ShardReport::newest() const {
  const ShardCopy* best = nullptr;
  for (const FoundCopy& found : copies) {
    if (!found.copy || !found.copy->known) continue;
    const auto id = [](const ShardCopy& copy) { return std::tuple(copy.ballot, copy.seq); };
    if (best == nullptr || id(*best) < id(*found.copy)) best = &*found.copy;
  }
  return best;
}

std::vector<NodeId> ShardReport::home() const {
  const ShardCopy* copy = newest();
  return copy == nullptr ? known.home : copy->home;
}

std::vector<NodeId> ShardReport::next() const {
  const ShardCopy* copy = newest();
  return copy == nullptr ? std::vector<NodeId>() : copy->next;
}

asio::awaitable<std::vector<ShardReport>> survey(Program& program, const Roster& roster,
                                                 std::vector<ShardView> shards) {
  std::vector<ShardReport> reports;
  for (ShardView& shard : shards) reports.push_back({.known = std::move(shard)});
  std::vector<CopyQuestion> questions;
  for (const ShardReport& report : reports) {
    for (const NodeId node : report.known.home) add_question(questions, report, node);
    add_question(questions, report, report.known.owner);
  }
  co_await ask_into(program, roster, reports, std::exchange(questions, {}));
  // Those that only a copy names.
  for (const ShardReport& report : reports) {
    for (const FoundCopy& found : report.copies) {
      if (!found.copy) continue;
      for (const auto* list : {&found.copy->home, &found.copy->next, &found.copy->learners}) {
        for (const NodeId node : *list) add_question(questions, report, node);
      }
    }
  }
  co_await ask_into(program, roster, reports, std::move(questions));
  co_return reports;
}

asio::awaitable<std::vector<ShardReport>> survey_owners(Program& program, const Roster& roster,
                                                        std::vector<ShardView> shards) {
  std::vector<ShardReport> reports;
  for (ShardView& shard : shards) reports.push_back({.known = std::move(shard)});
  std::vector<CopyQuestion> questions;
  for (const ShardReport& report : reports) add_question(questions, report, report.known.owner);
  co_await ask_into(program, roster, reports, std::exchange(questions, {}));
  for (const ShardReport& report : reports) {
    if (report.owner() != nullptr) continue;
    for (const NodeId node : report.known.home) add_question(questions, report, node);
    for (const NodeId node : report.home()) add_question(questions, report, node);
  }
  co_await ask_into(program, roster, reports, std::move(questions));
  co_return reports;
}

std::string ShardTrouble::text() const {
  std::string whole;
  for (const std::string& one : problems) whole += (whole.empty() ? "" : "; ") + one;
  return whole;
}

ShardTrouble trouble_of(const ShardReport& report, const Roster& roster) {
  ShardTrouble trouble;
  const std::vector<NodeId> home = report.home();
  const std::vector<NodeId> next = report.next();
  trouble.joint = !next.empty();
  const auto there = [&](NodeId node) { return roster.present(node); };
  trouble.stuck = !majority(home, there) || (trouble.joint && !majority(next, there));
  if (home.empty()) {
    trouble.problems.push_back("nothing is known of it yet");
    return trouble;
  }
  if (trouble.stuck) trouble.problems.push_back("no majority: it does not serve");
  if (std::string owner = owner_problem(report, roster); !owner.empty()) {
    trouble.problems.push_back(std::move(owner));
  }
  if (!all_present(home, roster)) trouble.problems.push_back(gone_text(home, roster, "homes"));
  if (trouble.joint) {
    trouble.problems.push_back(format("joint: it moves to {}", roster.names(next)));
    if (!all_present(next, roster)) {
      trouble.problems.push_back(gone_text(next, roster, "next homes"));
    }
  } else if (home.size() < roster.copies()) {
    trouble.problems.push_back(
        format("{} of {}", counted(home.size(), "home", "homes"), roster.copies()));
  }
  return trouble;
}

RecoveryPlan plan_recovery(const ShardReport& report, const std::vector<NodeId>& lost,
                           const Roster& roster) {
  RecoveryPlan plan{.shard = report.known.shard};
  const auto stays = [&](NodeId node) { return !among(lost, node); };
  const std::vector<NodeId> home = report.home();
  const std::vector<NodeId> next = report.next();
  plan.needed = !majority(home, stays) || (!next.empty() && !majority(next, stays));
  if (!plan.needed) {
    std::vector<NodeId> away;
    for (const auto* list : {&home, &next}) {
      for (const NodeId node : *list) {
        if (stays(node) && !roster.present(node) && !among(away, node)) away.push_back(node);
      }
    }
    plan.why_not = format("a majority of its homes ({}) is not lost", roster.names(home));
    if (!away.empty()) {
      plan.why_not += format(
          ": it serves again when {} is back; if that will never be, name it "
          "with --lost too",
          roster.names(away));
    }
    return plan;
  }
  // The newest config first: it knows of the others that survive, and asks them. Then what holds
  // the most.
  const auto rank = [](const ShardCopy& copy) {
    return std::tuple(copy.ballot, copy.seq, copy.records, copy.promised);
  };
  const ShardCopy* best = nullptr;
  for (const FoundCopy& found : report.copies) {
    if (!found.copy || !found.copy->known || !stays(found.node)) continue;
    const ShardCopy& copy = *found.copy;
    if (!among(copy.home, found.node) && !among(copy.next, found.node)) continue;
    if (best != nullptr && !(rank(*best) < rank(copy))) continue;
    best = &copy;
    plan.from = found.node;
    plan.records = copy.records;
  }
  if (best == nullptr) {
    plan.why_not = format("none of its homes ({}) survives and answers: there is no copy to adopt",
                          roster.names(home));
  }
  return plan;
}

bool recovered(const ShardCopy& copy, const std::vector<NodeId>& lost) {
  const auto free_of = [&](const std::vector<NodeId>& nodes) {
    return std::ranges::none_of(nodes, [&](NodeId node) { return among(lost, node); });
  };
  return copy.role == ShardRole::owner && free_of(copy.home) && free_of(copy.next);
}

asio::awaitable<Result<ShardId>> resolve_shard(Program& program, std::uint32_t shard_count,
                                               std::string text) {
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (!text.empty() && parsed.ptr == end) {
    if (parsed.ec == std::errc{} && number < shard_count) co_return ShardId{number};
    const auto job = co_await program.client().resolve(text);
    if (job) co_return shard_of(TaskId{*job, 0}, shard_count);
    co_return fail(ErrorCode::not_found,
                   format("there is no shard {}, and no job whose id begins so: shards are "
                          "numbered 0 to {}",
                          text, shard_count - 1));
  }
  const auto selector = parse_selector(text);
  if (!selector) co_return std::unexpected(selector.error());
  const auto job = co_await program.client().resolve(selector->job);
  if (!job) co_return std::unexpected(job.error());
  co_return shard_of(TaskId{*job, selector->index.value_or(0)}, shard_count);
}

std::string ballot_text(const BallotView& ballot, const Roster& roster) {
  return format("({}, {})", ballot.round, ballot.node ? roster.name(ballot.node) : "none");
}

}  // namespace shoal::cli
