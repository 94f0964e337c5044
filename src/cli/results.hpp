// The folder of `shoal map --results`: what each task printed, one file per task and stream.
//
//   DIR/INDEX.out  DIR/INDEX.err   a task's streams; INDEX counts from 0, as in JOB[INDEX]
//   DIR/index.tsv                  a line for each ended task, in the order they ended:
//                                  INDEX, exit status, state, node, argument; parted by tabs; in
//                                  the argument \t, \n, \r and \\ stand for themselves escaped
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "shoal/job.hpp"
#include "shoal/result.hpp"

namespace shoal::cli {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

Result<File> create_file(const std::string& path);

class ResultsFolder {
 public:
  // Makes the folder, and empties its index.
  static Result<ResultsFolder> create(const std::string& folder);

  // Bytes of one stream from `offset` on, the first ones making the file anew.
  Result<void> write(std::uint32_t index, int stream, std::uint64_t offset, std::string_view bytes);
  Result<void> add_line(const TaskStatus& task, int exit_code, std::string_view node);
  Result<void> flush();

 private:
  ResultsFolder(std::string folder, File index)
      : folder_(std::move(folder)), index_(std::move(index)) {}

  std::string folder_;
  File index_;
};

std::string index_line(const TaskStatus& task, int exit_code, std::string_view node);

}  // namespace shoal::cli
