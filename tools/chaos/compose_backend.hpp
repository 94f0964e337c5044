// Nodes as containers, hurt by the docker command: those of a docker-compose project that runs
// (`compose:PROJECT`), or a cluster of its own (`compose`, `compose:FILE`), gone afterwards.
//
// A node is its container: what kills or pauses the one hits its tasks as well, whatever the scope
// says, but for a pause of the node alone. A cluster of its own is made of the service `node` of
// the compose file, once for each node and with a name and an address that stay, since clients and
// the report go by those; all nodes share a folder of this machine, for their marks. In a project
// of somebody else's each keeps its marks in its data folder until they are gathered; a node there
// that comes back with another address, as may happen when two were down at a time, counts as
// silent.
//
// As root packets between containers can be dropped, by a table of nftables for each fault, where
// the bridge forwards them. Nothing else can be done to the network, and nothing to disks and
// clocks.
#pragma once

#include "tools/chaos/backend.hpp"
#include "tools/chaos/docker.hpp"

namespace shoal::chaos {

class ComposeBackend : public Backend {
 public:
  static Result<std::unique_ptr<Backend>> open(const BackendOptions& options);

  struct Where {
    std::string project;
    std::vector<std::string> compose;  // The command.
    std::filesystem::path file;        // Of an own cluster; else empty.
    std::string image;
  };
  ComposeBackend(BackendOptions options, Where where);

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
  Result<Plan> network(const Injection& injection) override;
  std::string marks_file(const std::filesystem::path& run_folder) const override;
  std::string mark_program(const std::filesystem::path& run_folder) const override;
  Result<void> gather(const std::filesystem::path& run_folder) override;

  // The compose file of an own cluster.
  std::string compose_text() const;

 private:
  struct Target {
    BackendNode node;
    Container container;
  };

  bool own() const { return !where_.file.empty(); }
  std::optional<std::string> cannot_network(const Fault& fault) const;
  std::string container_name(const std::string& node) const;
  std::string network_name() const;
  Result<std::vector<Container>> containers() const;
  Result<std::vector<Target>> targets_of(const Injection& injection);
  void plan_end(Plan& plan, const Target& target, FaultKind kind) const;
  Steps upgraded(const Target& target, const std::string& program) const;
  Result<void> gather_marks(const std::filesystem::path& run_folder);
  // What the files begin with that keep the marks of nodes that joined a cluster of somebody else's
  // and are gone.
  std::string joiner_marks() const;

  BackendOptions options_;
  Where where_;
  std::filesystem::path folder_;  // Of an own cluster.
  std::uint32_t subnet_ = 0;      // Of an own cluster: its third number.
  std::string token_;
  std::vector<Container> containers_;  // As nodes() saw them last.
};

}  // namespace shoal::chaos
