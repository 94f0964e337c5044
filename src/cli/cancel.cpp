// `shoal cancel`: ends jobs or single tasks; running ones are killed with their process trees.
#include <memory>

#include "base/format.hpp"
#include "cli/program.hpp"

namespace shoal::cli {
namespace {

asio::awaitable<int> cancel(Program& program,
                            std::shared_ptr<const std::vector<std::string>> jobs) {
  int code = kExitGood;
  Json cancelled = Json::array();
  for (const std::string& text : *jobs) {
    const auto selector = parse_selector(text);
    if (!selector) co_return program.failed(selector.error());
    const auto id = co_await program.client().resolve(selector->job);
    if (!id) {
      code = program.failed(id.error());
      continue;
    }
    const auto done = co_await program.client().cancel(*id, selector->index);
    if (!done) {
      code = program.failed(done.error());
      continue;
    }
    cancelled.push_back(to_string(*id));
    const std::string index = selector->index ? format("[{}]", *selector->index) : "";
    if (!program.json()) program.note(format("cancelled {}{}", short_text(*id), index));
  }
  if (program.json()) {
    program.out_json({{"schema", "shoal.cancelled/1"}, {"cancelled", cancelled}});
  }
  co_return code;
}

}  // namespace

void add_cancel(CLI::App& app, GlobalOptions& globals) {
  auto jobs = std::make_shared<std::vector<std::string>>();
  auto* command = app.add_subcommand("cancel", "End jobs or single tasks");
  command->alias("kill");
  command->add_option("job", *jobs, "JOB or JOB[INDEX], several")->required();
  command->callback([jobs, &globals] {
    run_client(globals, [jobs](Program& program) { return cancel(program, jobs); });
  });
}

}  // namespace shoal::cli
