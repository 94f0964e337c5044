// libshoal-chaos-disk.so: stands before fsync and fdatasync of a node that is started with it
// (LD_PRELOAD), and makes them slow or fail.
//
// What to do stands in the file DATA_FOLDER.disk, beside the folder that the node's --data names:
// "DELAY_MS ERRNO". It is read anew for each sync; without the file nothing changes. Other programs
// that are started with it are left alone.
#include <dlfcn.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

// Empty when this process is no node.
std::string control_file() {
  const int file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string words;
  char buffer[4096];
  for (ssize_t got = 0; (got = read(file, buffer, sizeof buffer)) > 0;) {
    words.append(buffer, static_cast<std::size_t>(got));
  }
  close(file);
  const std::string key("\0--data\0", 8);
  const std::size_t second = words.find('\0');
  const std::size_t data = words.find(key);
  const bool node = second != std::string::npos && words.compare(second + 1, 5, "node") == 0;
  if (!node || data == std::string::npos) return {};
  return std::string(words.c_str() + data + key.size()) + ".disk";
}

// Waits as told; the result is the error that the sync is to fail with, or 0.
int suffer() {
  static const std::string path = control_file();
  if (path.empty()) return 0;
  const int before = errno;
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  errno = before;
  if (file < 0) return 0;
  char content[64]{};
  const ssize_t got = read(file, content, sizeof content - 1);
  close(file);
  long delay_ms = 0;
  int error = 0;
  if (got <= 0 || std::sscanf(content, "%ld %d", &delay_ms, &error) != 2) return 0;
  timespec time{};
  time.tv_sec = static_cast<time_t>(delay_ms / 1000);
  time.tv_nsec = delay_ms % 1000 * 1'000'000;
  nanosleep(&time, nullptr);
  errno = before;
  return error;
}

using Sync = int (*)(int);

int sync_after(const char* name, int file) {
  if (const int error = suffer(); error != 0) {
    errno = error;
    return -1;
  }
  return reinterpret_cast<Sync>(dlsym(RTLD_NEXT, name))(file);
}

}  // namespace

extern "C" {

int fsync(int file) { return sync_after("fsync", file); }
int fdatasync(int file) { return sync_after("fdatasync", file); }

}  // extern "C"
