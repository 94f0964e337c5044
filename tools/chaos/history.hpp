// What clients asked and what they were told, operation by operation: the half of the truth that
// users see. The other half are the marks that tasks leave.
//
//   {"t","op","what":"submit"|"canary","client","job","tasks","at_most_once","gateway",
//    "begun","result":"ok"|"fail"|"unknown","error"}          an operation that has ended
//   {"t","seen":JOB,"by":CLIENT OR NODE,"tasks":[[INDEX,STATE,ATTEMPT,ENDED_MS],...]}
//                                                              outcomes as somebody was shown them
//   {"t","final":NODE,"job":JOB,"found":N,"open":N,"error"}   a read at the end through that node,
//                                                              after its line "seen"
//
// An operation whose answer was lost is `unknown`: it may have happened. It is put again under the
// same id until it is known.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shoal/client.hpp"
#include "tools/chaos/recording.hpp"

namespace shoal::chaos {

enum class OpResult : std::uint8_t { ok, fail, unknown };
std::string_view to_string(OpResult result);
// What an answer says about whether the operation happened.
OpResult result_of(const Error& error);

struct Submit {
  const char* what = "submit";
  std::uint32_t client = 0;
  JobId job;
  std::uint32_t tasks = 0;
  bool at_most_once = false;
};

class History {
 public:
  explicit History(Recording& recording) : recording_(recording) {}

  void submitted(const Submit& submit, const std::string& gateway, Time begun, OpResult result,
                 const std::string& error);
  // Only terminal ones are kept.
  void seen(JobId job, const std::string& by, const std::vector<TaskStatus>& tasks);
  void final_read(const std::string& node, JobId job, const Result<TaskListing>& listing);

 private:
  Recording& recording_;
  std::uint64_t last_ = 0;
};

}  // namespace shoal::chaos
