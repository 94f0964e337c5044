// Nodes as processes of this machine: those of a `shoal dev` folder (`local:FOLDER`), or a cluster
// of its own that `shoal dev` makes in a new folder and that is gone afterwards (`local`).
//
// As root, nodes of an own cluster may have small file systems of their own (tmpfs), which can be
// filled. Nothing here can cut the loopback between two processes.
#pragma once

#include "tools/chaos/backend.hpp"

namespace shoal::chaos {

// What `program` of an upgrade says when nodes are to go on with a copy of the same program.
inline constexpr const char* kCopiedProgram = "copy";

class LocalBackend : public Backend {
 public:
  static Result<std::unique_ptr<Backend>> open(const BackendOptions& options);
  // `own`: `folder` is not there yet, and is removed with all that is in it.
  LocalBackend(BackendOptions options, std::filesystem::path folder, bool own);

  std::string name() const override;
  Plan birth() const override;
  std::vector<std::string> names() const override;
  Result<std::vector<BackendNode>> nodes() override;
  Steps start(const BackendNode& node) const override;
  std::optional<std::string> cannot(const Fault& fault) const override;
  Result<Plan> process(const Injection& injection) override;
  Result<Plan> disk(const Injection& injection) override;
  Result<Plan> load(const Injection& injection) override;
  Result<Plan> members(const Injection& injection) override;
  Result<Plan> played(const Injection& injection) override;
  Result<Plan> network(const Injection& injection) override;

 private:
  Result<std::vector<BackendNode>> targets_of(const Injection& injection);
  std::optional<std::string> cannot_disk() const;
  bool own_disks() const;
  std::string faults_folder() const;  // Of nodes started for tests; empty: they were not.
  StartNode start_step(const BackendNode& node, const std::string& program) const;

  BackendOptions options_;
  std::filesystem::path folder_;
  bool own_ = false;
  std::vector<BackendNode> nodes_;  // As nodes() saw them last.
};

// The supervisors of a node: its children, and those that outlived it and know its data folder.
std::vector<ProcessId> supervisors_of(const BackendNode& node);

}  // namespace shoal::chaos
