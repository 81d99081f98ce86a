"""The runbook says what is so: its commands exist, its alarms are the stacks', its sums are right."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from housing_assets.config.settings import Settings
from housing_assets.orchestration.build import build_definitions

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/runbook.md").read_text()
PROSE = re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)
SPANS = re.findall(r"`([^`\n]+)`", PROSE)
LINES = [line for block in re.findall(r"```\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines() if line]
NAME = "housing"


def words_of(line: str) -> list[str]:
    """A command's words, without the variables it is given and the folder of its program."""
    words = shlex.split(line)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return [words[0].removeprefix(".venv/bin/"), *words[1:]] if words else []


COMMANDS = [words for line in LINES if (words := words_of(line))]
MENTIONED = [words_of(span) for span in SPANS if re.match(r"(?:\.venv/bin/)?(?:housing|make|dagster) ", span)]


def of_program(program: str, commands: list[list[str]]) -> list[list[str]]:
    return [words[1:] for words in commands if words[0] == program]


def leaf(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The subcommand that words lead to, and its arguments."""
    while hasattr(command, "commands"):  # typer has a click of its own
        assert words, f"{command.name} without a subcommand"
        assert words[0] in command.commands, f"{command.name} has no {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def housing() -> Any:
    from housing_assets.cli.main import app

    return typer.main.get_command(app)


def dagster() -> Any:
    from dagster._cli import create_dagster_cli

    return create_dagster_cli()


@pytest.fixture(scope="module")
def templates() -> dict[str, dict[str, Any]]:
    """The stacks of `infra/`, their short forms written out."""
    found = {}
    for path in sorted((ROOT / "infra").glob("*.yaml")):
        if "AWSTemplateFormatVersion" in path.read_text():
            from cfnlint.decode import decode

            template, problems = decode(str(path))
            assert template is not None, problems
            found[path.stem] = json.loads(json.dumps(template))
    assert found, "infra/ has no stacks"
    return found


# ---------------------------------------------------------------- commands


@pytest.mark.parametrize("words", of_program("housing", COMMANDS), ids=" ".join)
def test_a_command_of_housing_can_be_given_so(words):
    command, arguments = leaf(housing(), words)
    command.make_context(words[0], list(arguments)).close()
    with pytest.raises(Exception, match="No such option"):
        command.make_context(words[0], [*arguments, "--no-such-option"])


@pytest.mark.parametrize("words", of_program("dagster", COMMANDS), ids=" ".join)
def test_a_command_of_dagster_can_be_given_so(words):
    command, arguments = leaf(dagster(), words)
    given = command.make_context(words[0], list(arguments)).params
    definitions = build_definitions(Settings())
    known = {spec.key.to_user_string() for spec in definitions.resolve_all_asset_specs()}
    assert set(given["select"].split(",")) <= known
    for name in json.loads(given.get("config_json") or "{}").get("ops", {}):
        job = definitions.resolve_implicit_global_asset_job_def()
        assert job.graph.has_node_named(name), name


@pytest.mark.parametrize("words", of_program("python", COMMANDS), ids=" ".join)
def test_a_script_of_the_project_has_these_options(words):
    script = ROOT / words[0]
    help_text = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    for option in (w for w in words[1:] if w.startswith("--")):
        assert re.search(rf"^  {option}\b", help_text, re.MULTILINE), option


def test_a_command_that_is_only_mentioned_exists_too():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[0] for words in of_program("make", [*COMMANDS, *MENTIONED])} <= targets
    for program, cli in (("housing", housing()), ("dagster", dagster())):
        for words in of_program(program, MENTIONED):
            command, arguments = leaf(cli, words)
            options = {option for parameter in command.params for option in parameter.opts}
            assert {w for w in arguments if w.startswith("--")} <= options, words


def test_every_program_in_a_block_is_one_that_is_looked_at_or_of_others():
    assert {words[0] for words in COMMANDS} <= {"housing", "dagster", "make", "python", "curl", "export"}
    for program in ("housing", "dagster", "make", "python"):
        assert of_program(program, COMMANDS), program


# ---------------------------------------------------------------- names


def test_jobs_sensors_and_schedules_are_the_platform_s():
    definitions = build_definitions(Settings())
    repository = definitions.get_repository_def()
    known = {d.name for d in (*repository.get_all_jobs(), *repository.schedule_defs, *repository.sensor_defs)}
    named = {
        span for span in SPANS if re.fullmatch(r"after_[a-z]+|failure_notices|[a-z_]+_(?:job|sensor|schedule)", span)
    }
    assert len(named) > 8
    assert named <= known


def test_every_variable_is_on_the_page_of_settings():
    page = (ROOT / "docs/configuration.md").read_text()
    named = set(re.findall(r"\b(?:HOUSING|MLFLOW|AWS|DAGSTER)_[A-Z_]*[A-Z]\b", TEXT))
    assert len(named) > 5
    assert not [name for name in named if f"`{name}`" not in page]


def test_every_page_it_leads_to_is_there():
    for link in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / "docs" / link).exists(), link


def test_parameters_are_the_stacks(templates):
    known = {name for t in templates.values() for name in (*t["Parameters"], *t["Outputs"])}
    named = {s.partition("=")[0] for s in SPANS if re.fullmatch(r"[A-Z][a-z]+(?:[A-Z][a-z]+)+(?:=.*)?", s)}
    assert len(named) > 5
    assert named <= known


def test_every_alarm_is_explained_and_no_other(templates):
    alarms = {
        name["Fn::Sub"].replace("${Name}", NAME) if isinstance(name, dict) else name
        for template in templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
        for name in [resource["Properties"]["AlarmName"]]
    }
    assert alarms
    section = TEXT.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    rows = {row[0].strip("`"): row for row in rows_of(section)}
    assert rows.keys() == alarms
    assert all(len(row) == 3 and row[2] for row in rows.values())


# ---------------------------------------------------------------- costs

COSTS = TEXT.partition("\n## Costs\n")[2].partition("\n## ")[0]
HOURS = 730


def rows_of(text: str) -> list[list[str]]:
    """The rows of every table of a text, without heads."""
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    rules = [i for i, row in enumerate(cells) if set("".join(row)) <= {"-"}]
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]


def number(text: str) -> float:
    return float(text.strip("*").replace(",", ""))


def test_the_cost_of_tasks_adds_up():
    vcpu, gigabyte = (float(x) for x in re.findall(r"(0\.\d+) a (?:vCPU|GB)-hour", COSTS))
    rows = [row for row in rows_of(COSTS) if len(row) == 6]
    for _, tasks, cpu, memory, hours, month in rows[:-1]:
        expected = number(tasks) * number(hours) * (number(cpu) * vcpu + number(memory) * gigabyte)
        assert number(month) == pytest.approx(expected, abs=0.006)
    assert number(rows[-1][-1]) == pytest.approx(sum(number(row[-1]) for row in rows[:-1]))
    each = HOURS * (vcpu + 3 * gigabyte)
    assert f"Each further API task is {each:.2f} a\nmonth" in COSTS


def test_the_cost_of_all_adds_up():
    rows = [row for row in rows_of(COSTS) if len(row) == 5]
    for component, _, quantity, price, month in rows[:-1]:
        expected = number(quantity.split(" ")[0]) * number(price)
        assert number(month) == pytest.approx(expected, abs=0.006), component
    assert number(rows[-1][-1]) == pytest.approx(sum(number(row[-1]) for row in rows[:-1]))
    fargate = next(row for row in rows_of(COSTS) if row[0] == "**Fargate**")
    assert number(rows[0][-1]) == number(fargate[-1])
    assert number(fargate[-1]) / number(rows[-1][-1]) == pytest.approx(2 / 3, abs=0.05)


def test_costs_are_of_what_the_stacks_make(templates):
    resources = {name: r for t in templates.values() for name, r in t["Resources"].items()}
    kinds = [r["Type"] for r in resources.values()]
    defaults = {name: p.get("Default") for t in templates.values() for name, p in t["Parameters"].items()}
    rows = {row[0].strip("`"): row for row in rows_of(COSTS) if len(row) == 6}
    services = {r["Properties"]["ServiceName"]["Fn::Sub"].replace("${Name}", NAME): r["Properties"]
                for r in resources.values() if r["Type"] == "AWS::ECS::Service"}  # fmt: skip
    assert services.keys() == rows.keys() - {"runs", "**Fargate**"}

    def valued(value: Any) -> float:
        return float(defaults[value["Ref"]] if isinstance(value, dict) else value)

    def sizes(task: str) -> tuple[float, float]:
        made = resources[task]["Properties"]
        return valued(made["Cpu"]) / 1024, valued(made["Memory"]) / 1024

    for name, service in services.items():
        said = tuple(map(number, rows[name][1:4]))
        assert said == (valued(service["DesiredCount"]), *sizes(service["TaskDefinition"]["Ref"])), name
    assert tuple(map(number, rows["runs"][2:4])) == sizes("RunTask")
    alarms = kinds.count("AWS::CloudWatch::Alarm")
    scaling = 2 * kinds.count("AWS::ApplicationAutoScaling::ScalingPolicy")
    assert f"alarms: {alarms} of the stack, {scaling} of scaling | {alarms + scaling} alarms" in COSTS
    assert f"`{defaults['DatabaseClass']}`" in COSTS
    assert f"gp3; backups up to that size cost nothing | {defaults['DatabaseStorage']} GB" in COSTS
    assert f"database, API key | {kinds.count('AWS::SecretsManager::Secret')} secrets" in COSTS
