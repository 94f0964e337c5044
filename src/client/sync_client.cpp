#include <utility>

#include "client/asio.hpp"
#include "shoal/client.hpp"

namespace shoal {
namespace {

// Turns the loop until `call` has its result. Connections stay open between two calls, so the loop
// never runs out of work by itself.
template <class T>
Result<T> run(asio::io_context& context, asio::awaitable<Result<T>> call) {
  std::optional<Result<T>> result;
  asio::co_spawn(context, std::move(call), [&result](std::exception_ptr error, Result<T> value) {
    if (error) {
      result = fail(ErrorCode::internal, "an input/output call failed unexpectedly");
    } else {
      result = std::move(value);
    }
  });
  context.restart();
  while (!result) {
    if (context.run_one() == 0) return fail(ErrorCode::internal, "the call was abandoned");
  }
  return std::move(*result);
}

}  // namespace

SyncClient::SyncClient(ClientOptions options) : client_(context_, std::move(options)) {}

Result<Submitted> SyncClient::submit(Submission submission) {
  return run(context_, client_.submit(std::move(submission)));
}

Result<JobStatus> SyncClient::wait(JobId job,
                                   std::function<bool(const std::vector<TaskUpdate>&)> on_update) {
  const WatchOptions options{.tasks = static_cast<bool>(on_update)};
  const auto adapted = [&on_update](const std::vector<TaskUpdate>& tasks, const JobStatus*) {
    return !on_update || on_update(tasks);
  };
  return run(context_, client_.watch(job, options, adapted));
}

Result<JobDetails> SyncClient::job(JobId id) { return run(context_, client_.job(id)); }

Result<void> SyncClient::cancel(JobId id) { return run(context_, client_.cancel(id)); }

}  // namespace shoal
