#include "tools/bench/workload.hpp"

#include <algorithm>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <string>
#include <utility>

namespace shoal::bench {
namespace {

using SteadyClock = std::chrono::steady_clock;

double seconds_since(SteadyClock::time_point began) {
  return std::chrono::duration<double>(SteadyClock::now() - began).count();
}

Submission array_of(TaskSpec spec, std::uint32_t tasks) {
  Submission submission{.name = "bench", .spec = std::move(spec), .array = true};
  submission.retention = Retention::hour;
  submission.arguments.reserve(tasks);
  for (std::uint32_t i = 0; i < tasks; ++i) submission.arguments.push_back(std::to_string(i));
  return submission;
}

asio::awaitable<Result<void>> run_array(Client& client, Submission submission) {
  const auto count = static_cast<std::uint32_t>(submission.arguments.size());
  const auto submitted = co_await client.submit(std::move(submission));
  if (!submitted) co_return std::unexpected(submitted.error());
  const WatchOptions quietly{.tasks = false};
  const auto ended = co_await client.watch(submitted->id, quietly, {});
  if (!ended) co_return std::unexpected(ended.error());
  if (ended->counts.succeeded == count) co_return Result<void>{};
  co_return fail(ErrorCode::internal, "of " + std::to_string(count) + " tasks of job " +
                                          to_string(submitted->id) + " only " +
                                          std::to_string(ended->counts.succeeded) + " succeeded");
}

struct Flight {
  explicit Flight(asio::io_context& context)
      : landed(context, asio::steady_timer::time_point::max()) {}
  std::size_t left = 0;
  Result<void> outcome;
  asio::steady_timer landed;  // Cancelled by the last one.
};

asio::awaitable<void> fly(std::shared_ptr<Flight> flight, Client& client, Submission submission) {
  Result<void> ended = co_await run_array(client, std::move(submission));
  if (!ended) flight->outcome = std::move(ended);
  if (--flight->left == 0) flight->landed.cancel();
}

}  // namespace

Clients connect(Loop& loop, const Cluster& cluster, std::uint32_t count) {
  Clients clients;
  for (std::uint32_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<Client>(loop.context(), cluster.client_options(i)));
  }
  return clients;
}

TaskSpec noop_spec() { return {.kind = TaskKind::noop, .cpu_millis = 0}; }

TaskSpec true_spec() { return {.argv = {"/bin/true"}}; }

TaskSpec waiting_spec() { return {.argv = {"/bin/true"}, .cpu_millis = 1'000'000}; }

asio::awaitable<Result<double>> run_arrays(Loop& loop, const Clients& clients, TaskSpec spec,
                                           std::uint32_t tasks) {
  std::vector<Submission> submissions;
  const auto parts = static_cast<std::uint32_t>(clients.size());
  for (std::uint32_t i = 0; i < parts; ++i) {
    const std::uint32_t size = tasks / parts + (i < tasks % parts ? 1 : 0);
    if (size > 0) submissions.push_back(array_of(spec, size));
  }
  auto flight = std::make_shared<Flight>(loop.context());
  flight->left = submissions.size();
  const auto began = SteadyClock::now();
  for (std::size_t i = 0; i < submissions.size(); ++i) {
    asio::co_spawn(loop.context(), fly(flight, *clients[i], std::move(submissions[i])),
                   asio::detached);
  }
  while (flight->left > 0) {
    asio::error_code ignored;
    co_await flight->landed.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (!flight->outcome) co_return std::unexpected(flight->outcome.error());
  co_return seconds_since(began);
}

asio::awaitable<Result<Filled>> fill(Client& client, TaskSpec spec, std::uint32_t tasks) {
  Submission submission = array_of(std::move(spec), tasks);
  const auto began = SteadyClock::now();
  const auto submitted = co_await client.submit(std::move(submission));
  if (!submitted) co_return std::unexpected(submitted.error());
  Filled filled{.job = submitted->id, .seconds = seconds_since(began)};
  const auto details = co_await client.job(submitted->id);
  if (!details) co_return std::unexpected(details.error());
  filled.copies = std::max<std::size_t>(1, details->home.size());
  co_return filled;
}

asio::awaitable<Result<std::vector<MemberView>>> members_with_figures(Client& client) {
  const auto view = co_await client.members();
  if (!view) co_return std::unexpected(view.error());
  std::vector<MemberView> members;
  for (const MemberView& member : view->members) {
    if (member.state == "dead" || member.state == "left") continue;
    if (!member.figures) {
      co_return fail(ErrorCode::unavailable, member.name + " does not tell its figures in time");
    }
    members.push_back(member);
  }
  co_return members;
}

}  // namespace shoal::bench
