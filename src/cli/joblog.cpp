#include "cli/joblog.hpp"

#include "base/format.hpp"
#include "cli/outcome.hpp"
#include "cli/render.hpp"

namespace shoal::cli {

std::string joblog_row(const TaskStatus& task, std::string_view host, std::string_view command) {
  if (!task.result || task.attempt == 0) return {};
  const AttemptResult& result = *task.result;
  const auto seconds = [](std::chrono::milliseconds time) {
    return static_cast<double>(time.count()) / 1000;
  };
  return format("{}\t{}\t{:.3f}\t{:10.3f}\t0\t{}\t{}\t{}\t{}\n", std::uint64_t{task.index} + 1,
                host, seconds(result.started.time_since_epoch()),
                seconds(result.ended - result.started), result.output_bytes[0],
                terminal(task.state) ? exit_code_of(task) : result.exit_status, result.signal,
                printable(command));
}

}  // namespace shoal::cli
