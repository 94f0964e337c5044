// The supervisor as a program of its own, started by the tests as nodes do (supervisor_words()).
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>

#include "exec/supervisor.hpp"

int main(int argc, char** argv) {
  if (argc < 2 || std::string_view(argv[1]) != "supervisor") return 2;
  std::map<std::string, std::string> flags;
  for (int i = 2; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  return shoal::exec::supervisor_main(
      {.data_folder = flags["--data"],
       .id = flags["--id"],
       .listener = std::atoi(flags["--fd"].c_str()),
       .linger = std::chrono::milliseconds(std::atoll(flags["--linger"].c_str()))});
}
