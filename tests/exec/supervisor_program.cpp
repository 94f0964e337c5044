// The supervisor as a program of its own, started by the tests as `PROGRAM supervisor --fd N`.
#include <cstdlib>
#include <string_view>

#include "exec/supervisor.hpp"

int main(int argc, char** argv) {
  if (argc != 4 || std::string_view(argv[1]) != "supervisor") return 2;
  return shoal::exec::supervisor_main(std::atoi(argv[3]));
}
