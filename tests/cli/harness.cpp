#include "harness.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/command_line.hpp"

namespace shoal::cli {
namespace {

// Sends standard output and error to files while a command runs; there is no standard input.
class Capture {
 public:
  explicit Capture(const Folder& folder) {
    for (const int stream : {0, 1, 2}) {
      std::fflush(stream == 1 ? stdout : stderr);
      saved_[static_cast<std::size_t>(stream)] = dup(stream);
      const std::string path = stream == 0   ? "/dev/null"
                               : stream == 1 ? folder.path + "/stdout"
                                             : folder.path + "/stderr";
      std::FILE* file = std::fopen(path.c_str(), stream == 0 ? "r" : "w");
      dup2(fileno(file), stream);
      std::fclose(file);
    }
  }
  ~Capture() {
    for (const int stream : {0, 1, 2}) {
      std::fflush(stream == 1 ? stdout : stderr);
      dup2(saved_[static_cast<std::size_t>(stream)], stream);
      close(saved_[static_cast<std::size_t>(stream)]);
    }
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

 private:
  std::array<int, 3> saved_{};
};

}  // namespace

Folder::Folder() {
  std::array<char, 32> name{"/tmp/shoal-cli-test-XXXXXX"};
  path = mkdtemp(name.data());
}

Folder::~Folder() { std::filesystem::remove_all(path); }

std::string Folder::read(const std::string& name) const {
  std::ifstream file(path + "/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

int shoal(const Folder& folder, const std::string& address, Words words) {
  CLI::App app("test", "shoal");
  GlobalOptions globals{.addresses = {address}};
  app.fallthrough();
  app.add_flag("-q", globals.quiet);
  app.add_flag("--strict", globals.strict);
  app.add_flag_callback("--json", [&globals] { globals.output = "json"; });
  for (auto* add : {add_run, add_submit, add_map, add_ps, add_show, add_wait, add_nodes, add_health,
                    add_shard, add_drain, add_leave, add_forget}) {
    add(app, globals);
  }
  CommandLine line = split_command_line(app, std::move(words));
  globals.command = std::move(line.command);
  std::ranges::reverse(line.options);
  const Capture capture(folder);
  app.parse(line.options);
  return globals.exit_code;
}

}  // namespace shoal::cli
