// shoal-chaos-mark FILE BEAT_MS LENGTH_US: the command that a run's tasks execute.
//
// Appends a line when it begins, one every BEAT_MS while it lasts, and one at its end:
//
//   S|B|E JOB INDEX ATTEMPT NODE PID NS      NS: CLOCK_MONOTONIC
//
// Each line is one write to a file opened for append, so lines of many processes do not mix. Linked
// statically and without iostreams: thousands of these start on two cores.
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * kNsPerSecond + time.tv_nsec;
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "-";
}

bool mark(int file, char kind) {
  char line[256];
  const int length = std::snprintf(line, sizeof line, "%c %s %s %s %s %d %" PRId64 "\n", kind,
                                   variable("SHOAL_JOB_ID"), variable("SHOAL_TASK_INDEX"),
                                   variable("SHOAL_ATTEMPT"), variable("SHOAL_NODE"),
                                   static_cast<int>(getpid()), now_ns());
  return length > 0 && write(file, line, static_cast<std::size_t>(length)) == length;
}

void sleep_until(std::int64_t ns) {
  timespec time{};
  time.tv_sec = static_cast<time_t>(ns / kNsPerSecond);
  time.tv_nsec = static_cast<long>(ns % kNsPerSecond);
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr) != 0) {
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t beat = argc == 4 ? std::strtoll(argv[2], nullptr, 10) * 1'000'000 : 0;
  const std::int64_t length = argc == 4 ? std::strtoll(argv[3], nullptr, 10) * 1'000 : 0;
  if (argc != 4 || beat <= 0 || length < 0) {
    std::fputs("usage: shoal-chaos-mark FILE BEAT_MS LENGTH_US\n", stderr);
    return 2;
  }
  const int file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0 || !mark(file, 'S')) {
    std::perror(argv[1]);
    return 1;
  }
  const std::int64_t end = now_ns() + length;
  for (std::int64_t next = now_ns() + beat; next < end; next = now_ns() + beat) {
    sleep_until(next);
    if (next < end && !mark(file, 'B')) return 1;
  }
  sleep_until(end);
  if (mark(file, 'E')) return 0;
  std::perror(argv[1]);
  return 1;
}
