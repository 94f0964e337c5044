// `shoal version`.
#include "shoal/version.hpp"

#include <cstdio>

#include "base/format.hpp"
#include "cli/commands.hpp"

namespace shoal::cli {

void add_version(CLI::App& app, GlobalOptions& globals) {
  auto* command = app.add_subcommand("version", "This program's version");
  command->callback([&globals] {
    const bool json = globals.output == "json" || globals.output == "jsonl";
    const std::string text =
        json ? format("{{\"schema\":\"shoal.version/1\",\"version\":\"{}\",\"protocol\":1}}",
                      kVersion)
             : format("shoal {}", kVersion);
    std::printf("%s\n", text.c_str());
    globals.exit_code = kExitGood;
  });
}

}  // namespace shoal::cli
