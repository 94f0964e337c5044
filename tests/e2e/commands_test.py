"""What the commands do on a healthy cluster: exit statuses, output, listings."""

import json
import os
import tempfile
import time
import unittest

from cluster import Cluster, ClusterTest, eventually, main, process_lives, shoal

SHELL = ["sh", "-c"]


class Run(ClusterTest):
    def status(self, *words):
        return self.cluster.run("run", *words).returncode

    def test_exit_status_is_the_commands_own(self):
        self.assertEqual(self.status("--", "true"), 0)
        self.assertEqual(self.status("--", *SHELL, "exit 3"), 3)
        self.assertEqual(self.status("--", *SHELL, "kill -9 $$"), 137)
        self.assertEqual(self.status("--", *SHELL, "kill -15 $$"), 143)

    def test_a_command_that_cannot_be_executed_is_an_outcome(self):
        done = self.cluster.run("run", "--", "no-such-command-anywhere")
        self.assertEqual(done.returncode, 127)
        self.assertIn(b"no-such-command-anywhere", done.stderr)
        self.assertEqual(self.status("--", "/etc/passwd"), 126)
        self.assertEqual(self.status("--cwd", "/no/such/folder", "--", "true"), 125)

    def test_output_arrives_byte_for_byte_on_its_own_stream(self):
        done = self.cluster.run("run", "--", *SHELL, r"printf '\377\000x\n'; echo to-err >&2")
        self.assertEqual(done.stdout, b"\xff\x00x\n")
        self.assertIn(b"to-err\n", done.stderr)

    def test_output_longer_than_the_tail_is_whole(self):
        done = self.cluster.run("run", "--", "seq", "100000")
        self.assertEqual(done.stdout, b"".join(b"%d\n" % i for i in range(1, 100001)))

    def test_words_pass_through_no_shell(self):
        text = "$HOME; * \"quoted\" `true`\nsecond line"
        self.assertEqual(self.cluster.good("run", "--", "printf", "%s", text), text)

    def test_environment_folder_and_stdin_reach_the_command(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"from a file\n")
            file.flush()
            out = self.cluster.good("run", "--env", "COLOUR=teal", "--cwd", "/usr/lib", "--stdin",
                                    file.name, "--", *SHELL,
                                    'echo "$COLOUR $SHOAL_TASK_INDEX $SHOAL_ATTEMPT"; pwd; cat')
        self.assertEqual(out, "teal 0 1\n/usr/lib\nfrom a file\n")

    def test_a_timeout_ends_the_whole_process_tree(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pids")
            text = f"sleep 600 & echo $$ $! > {path}; wait"
            self.assertNotEqual(self.status("--timeout", "1s", "--", *SHELL, text), 0)
            with open(path, encoding="utf-8") as file:
                pids = file.read().split()
            self.assertEqual(len(pids), 2)
            eventually(lambda: not any(map(process_lives, pids)), "the processes are gone", 10)

    def test_retries_repeat_a_failure_up_to_their_number(self):
        text = 'echo "attempt $SHOAL_ATTEMPT"; test "$SHOAL_ATTEMPT" -ge 2'
        job = self.cluster.submit("--retries", "3", "--", *SHELL, text)
        self.cluster.good("wait", job)
        self.assertEqual(self.cluster.json("show", job)["task_list"][0]["attempt"], 2)

    def test_every_node_takes_work_and_tells_of_all_of_it(self):
        jobs = []
        for index in range(3):
            jobs.append(self.cluster.submit("--", "echo", f"by-{index}", at=index))
        for index in range(3):
            for number, job in enumerate(jobs):
                self.cluster.good("wait", job, at=index)
                out = self.cluster.good("logs", job, at=index)
                self.assertEqual(out, f"by-{number}\n")


class Map(ClusterTest):
    def test_exit_status_is_the_number_of_failed_tasks(self):
        done = self.cluster.run("map", "-c", 'exit "$1"', "--", "{}", ":::", 0, 1, 0, 2, 0)
        self.assertEqual(done.returncode, 2)

    def test_more_than_a_hundred_failures_are_told_as_101(self):
        done = self.cluster.run("map", "--", "false", ":::", *range(120))
        self.assertEqual(done.returncode, 101)

    def test_output_keeps_the_order_of_the_input(self):
        out = self.cluster.good("map", "-k", "-c", 'sleep "0.$1"; echo "$1"', "--", "{}", ":::",
                                6, 4, 2, 0)
        self.assertEqual(out, "6\n4\n2\n0\n")

    def test_replacement_strings_mean_what_gnu_parallel_says(self):
        out = self.cluster.good("map", "-k", "--", "echo", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}",
                                ":::", "/a/b.c", "d")
        self.assertEqual(out, "/a/b.c /a/b b.c /a b 1\nd d d . d 2\n")

    def test_values_come_from_a_file_or_from_standard_input(self):
        out = self.cluster.good("map", "-k", "--", "echo", "<{}>", stdin=b"a b\n\xc3\xa9\n")
        self.assertEqual(out, "<a b>\n<\u00e9>\n")
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"new\nline\0-dash\0")
            file.flush()
            out = self.cluster.good("map", "-k", "-0", "-a", file.name, "--", "echo", "<{}>")
        self.assertEqual(out, "<new\nline>\n<-dash>\n")

    def test_results_and_joblog_tell_of_every_task(self):
        with tempfile.TemporaryDirectory() as folder:
            results = os.path.join(folder, "results")
            log = os.path.join(folder, "log.tsv")
            done = self.cluster.run("map", "--results", results, "--joblog", log, "-c",
                                    'echo "out $1"; echo "err $1" >&2; exit "$1"', "--", "{}",
                                    ":::", 0, 7, 0)
            self.assertEqual(done.returncode, 1, done.stderr)
            for index, value in enumerate([0, 7, 0]):
                for stream in ("out", "err"):
                    with open(f"{results}/{index}.{stream}", encoding="utf-8") as file:
                        self.assertEqual(file.read(), f"{stream} {value}\n")
            with open(f"{results}/index.tsv", encoding="utf-8") as file:
                rows = sorted(line.rstrip("\n").split("\t") for line in file)
            self.assertEqual([row[:2] for row in rows], [["0", "0"], ["1", "7"], ["2", "0"]])
            with open(log, encoding="utf-8") as file:
                head, *rows = [line.rstrip("\n").split("\t") for line in file]
        self.assertEqual(head, "Seq Host Starttime JobRuntime Send Receive Exitval Signal "
                               "Command".split())
        self.assertEqual({row[0]: row[6] for row in rows}, {"1": "0", "2": "7", "3": "0"})
        self.assertEqual({row[5] for row in rows}, {"6"})

    def test_halt_stops_the_rest(self):
        # Whichever tasks the three slots hold first, the failing one comes within a sleep or two.
        done = self.cluster.run("map", "--halt", "now,fail=1", "-c", 'test "$1" -gt 0 && sleep 5',
                                "--", "{}", ":::", *range(40))
        self.assertNotEqual(done.returncode, 0)

    def test_a_thousand_tasks_run_on_several_nodes(self):
        before = [self.cluster.figures(index)["tasks_run"] for index in range(3)]
        out = self.cluster.good("map", "--", "echo", "{}", ":::", *range(1000))
        self.assertEqual(sorted(map(int, out.split())), list(range(1000)))
        after = [self.cluster.figures(index)["tasks_run"] for index in range(3)]
        ran = [b - a for a, b in zip(before, after)]
        self.assertGreaterEqual(sum(ran), 1000)
        self.assertTrue(all(ran), ran)


class Jobs(ClusterTest):
    def running_on(self, job):
        def look():
            task = self.cluster.json("show", job)["task_list"][0]
            return task["node"] if task["state"] == "claimed" else None
        return eventually(look, f"{job} is claimed")

    def other_than(self, name):
        return next(i for i in range(3) if self.cluster.name(i) != name)

    def test_logs_come_from_another_node_than_the_one_that_ran_it(self):
        job = self.cluster.submit("--", "seq", "20000")
        self.cluster.good("wait", job)
        ran = self.cluster.json("show", job)["task_list"][0]["node"]
        out = self.cluster.good("logs", job, at=self.other_than(ran))
        self.assertEqual(out, "".join(f"{i}\n" for i in range(1, 20001)))

    def test_logs_follow_a_task_that_runs_on_another_node(self):
        job = self.cluster.submit("--", *SHELL, "echo one; sleep 2; echo two")
        other = self.other_than(self.running_on(job))
        follower = self.cluster.popen("logs", "-f", job, at=other)
        first = follower.stdout.readline()
        came = time.monotonic()
        rest, errors = follower.communicate(timeout=30)
        self.assertEqual((first, rest), (b"one\n", b"two\n"), errors)
        self.assertGreater(time.monotonic() - came, 0.5, "the first line came while the task ran")
        self.assertEqual(follower.returncode, 0)

    def test_cancel_kills_the_whole_tree_of_a_running_task(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pids")
            text = f"sleep 600 & (setsid sleep 600 & wait) & echo $$ $! > {path}; wait"
            job = self.cluster.submit("--", *SHELL, text)
            eventually(lambda: os.path.exists(path) and os.path.getsize(path), "it runs")
            with open(path, encoding="utf-8") as file:
                pids = file.read().split()
            self.assertTrue(all(map(process_lives, pids)))
            self.cluster.good("cancel", job)
            self.assertEqual(self.cluster.run("wait", job).returncode, 1)
            eventually(lambda: not any(map(process_lives, pids)), "the processes are gone", 10)
        self.assertEqual(self.cluster.json("show", job)["tasks"]["cancelled"], 1)

    def test_cancel_ends_tasks_that_wait(self):
        job = self.cluster.submit("--array", "0-499", "--cpus", "900", "--", "true")
        self.cluster.good("cancel", job)
        self.assertEqual(self.cluster.run("wait", job).returncode, 1)
        self.assertEqual(self.cluster.json("show", job)["tasks"]["cancelled"], 500)

    def test_wait_tells_how_jobs_ended(self):
        good = self.cluster.submit("--", "true")
        bad = self.cluster.submit("--", "false")
        self.assertEqual(self.cluster.run("wait", good).returncode, 0)
        self.assertEqual(self.cluster.run("wait", good, bad).returncode, 1)
        late = self.cluster.submit("--", "sleep", "600")
        self.assertEqual(self.cluster.run("wait", "--timeout", "1s", late).returncode, 124)
        self.cluster.good("cancel", late)

    def test_an_array_counts_its_failures_and_names_them(self):
        job = self.cluster.submit("--array", "0-99", "-c", 'test "$1" != 37', "--", "{}")
        done = self.cluster.run("wait", job)
        self.assertEqual(done.returncode, 1)
        shown = self.cluster.json("show", "--tasks", job)
        self.assertEqual((shown["tasks"]["succeeded"], shown["tasks"]["failed"]), (99, 1))
        failed = [task for task in shown["task_list"] if task["state"] == "failed"]
        self.assertEqual([(task["index"], task["argument"]) for task in failed], [(37, "37")])

    def test_a_job_is_found_by_prefix_name_and_last(self):
        job = self.cluster.submit("--name", "found-by-name", "--", "true")
        self.cluster.good("wait", job)
        for text in (job, job[:8], "found-by-name", "@last"):
            self.assertEqual(self.cluster.json("show", text)["id"], job, text)

    def test_listings_parse_and_agree_on_all_nodes(self):
        job = self.cluster.submit("--", "true")
        self.cluster.good("wait", job)
        for index in range(3):
            jobs = self.cluster.json("ps", at=index)
            self.assertTrue(jobs["complete"], jobs["missing"])
            self.assertIn(job, [one["id"] for one in jobs["jobs"]])
            view = self.cluster.json("nodes", at=index)
            self.assertEqual(len(view["nodes"]), 3)
            self.assertEqual({node["state"] for node in view["nodes"]}, {"alive"})
            ring = self.cluster.json("ring", at=index)
            self.assertEqual(len(ring["shards"]), ring["shard_count"])
            self.assertEqual({len(shard["home"]) for shard in ring["shards"]}, {3})
            # Who owns a shard spreads from node to node within seconds of the start.
            owner = self.cluster.json("show", job, at=index)["owner"]
            eventually(lambda: self.cluster.json("ring", job, at=index)["shards"][0]["owner"] == owner,
                       f"node {index} knows the owner of {job}'s shard")
        lines = self.cluster.good("ps", "-o", "jsonl").splitlines()
        self.assertEqual({json.loads(line)["schema"] for line in lines}, {"shoal.job/1"})


class Mistakes(ClusterTest):
    def refused(self, status, said, *words):
        done = self.cluster.run(*words)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(said.encode(), done.stderr)
        self.assertEqual(done.stdout, b"")

    def test_a_mistyped_command_or_flag_is_answered_with_the_right_one(self):
        self.refused(2, "submit", "sumbit", "--", "true")
        self.refused(2, "--retries", "run", "--retires", "2", "--", "true")
        self.refused(2, "--joblog", "map", "--joblgo", "f", "--", "true", ":::", 1)

    def test_bad_values_are_named(self):
        self.refused(2, "--mem", "run", "--mem", "12XB", "--", "true")
        self.refused(2, "--cpus", "run", "--cpus", "many", "--", "true")
        self.refused(2, "--array", "submit", "--array", "9-1", "--", "true")
        self.refused(2, "--halt", "map", "--halt", "often", "--", "true", ":::", 1)
        self.refused(2, "command", "run")

    def test_what_does_not_exist_is_status_3(self):
        self.refused(3, "zzzzz", "show", "zzzzz")
        self.refused(3, "zzzzz", "logs", "zzzzz")
        self.refused(3, "zzzzz", "cancel", "zzzzz")

    def test_an_error_is_json_on_standard_error_when_asked_for(self):
        done = self.cluster.run("show", "zzzzz", "--json")
        self.assertEqual(json.loads(done.stderr)["exit"], 3)
        self.assertEqual(done.stdout, b"")

    def test_without_a_node_the_status_is_4_and_says_what_was_tried(self):
        done = shoal("ps", env={"SHOAL_ADDR": "127.0.0.1:1"})
        self.assertEqual(done.returncode, 4)
        self.assertIn(b"127.0.0.1:1", done.stderr)


class OneNode(unittest.TestCase):
    def test_a_single_node_keeps_one_copy_and_works(self):
        cluster = Cluster(1)
        try:
            self.assertEqual(cluster.good("run", "--", "echo", "alone"), "alone\n")
            ring = cluster.json("ring")
            self.assertEqual({len(shard["home"]) for shard in ring["shards"]}, {1})
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
