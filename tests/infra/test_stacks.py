"""The CloudFormation templates, deployed, and what they made looked at."""

import ast
import inspect
import json
import re
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from dockerfile import parse
from stacks import DIGESTS, INFRA, ORDER, deploy, of_type, outputs, read, stand_in
from variables import known

from housing_assets.cli.metrics import summary
from housing_assets.orchestration.operations import AssetState, Operations
from housing_serving import process as serving

PROJECT = INFRA.parent
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


@pytest.fixture(scope="module")
def aws(s3_server) -> Any:
    """Clients of the server by service, as an administrator."""
    session = boto3.Session(**KEYS)
    return lambda service: session.client(service, endpoint_url=s3_server)


@pytest.fixture(scope="module")
def deployed(aws) -> Any:
    deploy(aws("cloudformation"))
    return aws


def containers(family: str) -> dict[str, dict[str, Any]]:
    """The containers of a task, by name, as its template has them."""
    found = of_type(read("services"), "AWS::ECS::TaskDefinition")[family]
    return {c["Name"]: c for c in found["ContainerDefinitions"]}


TASKS = {
    f"{task}.{name}": c
    for task in of_type(read("services"), "AWS::ECS::TaskDefinition")
    for name, c in containers(task).items()
}

# ---------------------------------------------------------------- network


def test_two_zones_have_a_public_and_a_private_subnet_each(deployed):
    ec2 = deployed("ec2")
    told = outputs(deployed("cloudformation"), "housing-network")
    mine = [{"Name": "vpc-id", "Values": [told["VpcId"]]}]
    subnets = {tag["Value"]: s for s in ec2.describe_subnets(Filters=mine)["Subnets"] for tag in s.get("Tags", ())}
    names = {f"housing-{kind}-{zone}" for kind in ("public", "private") for zone in "ab"}
    assert subnets.keys() >= names
    zones = {name: subnets[name]["AvailabilityZone"] for name in names}
    assert zones["housing-public-a"] == zones["housing-private-a"] != zones["housing-public-b"]
    assert zones["housing-public-b"] == zones["housing-private-b"]
    private = {subnets[f"housing-private-{zone}"]["SubnetId"] for zone in "ab"}
    assert set(told["PrivateSubnets"].split(",")) == private
    (endpoint,) = ec2.describe_vpc_endpoints(Filters=mine)["VpcEndpoints"]
    assert endpoint["ServiceName"] == "com.amazonaws.us-east-1.s3"
    assert len(endpoint["RouteTableIds"]) == 2


def test_only_public_subnets_have_a_way_to_the_internet_and_back():
    # The test server makes no associations: as the template has them.
    template = read("network")
    routes = of_type(template, "AWS::EC2::Route").values()
    ways = {r["RouteTableId"]["Ref"]: "internet" if "GatewayId" in r else "nat" for r in routes}
    associations = of_type(template, "AWS::EC2::SubnetRouteTableAssociation").values()
    assert {a["SubnetId"]["Ref"]: ways[a["RouteTableId"]["Ref"]] for a in associations} == {
        "PublicSubnetA": "internet",
        "PublicSubnetB": "internet",
        "PrivateSubnetA": "nat",
        "PrivateSubnetB": "nat",
    }


def test_from_outside_only_the_load_balancer_s_ports_can_be_reached(deployed):
    vpc = outputs(deployed("cloudformation"), "housing-network")["VpcId"]
    groups = deployed("ec2").describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["SecurityGroups"]
    ids = {g["GroupId"]: g["GroupName"].split("-")[2] for g in groups if g["GroupName"] != "default"}
    open_to_all, between = set(), set()
    for group in groups:
        for rule in group["IpPermissions"] if group["GroupId"] in ids else ():
            to = (ids[group["GroupId"]], rule["FromPort"])
            assert rule["FromPort"] == rule["ToPort"]
            assert not rule.get("Ipv6Ranges")
            open_to_all |= {to for _ in rule["IpRanges"]}
            between |= {(ids[pair["GroupId"]], *to) for pair in rule["UserIdGroupPairs"]}
    assert open_to_all == {("BalancerGroup", 80), ("BalancerGroup", 443)}
    assert between == {
        ("BalancerGroup", "DashboardGroup", 8501),
        ("BalancerGroup", "ApiGroup", 8000),
        ("DashboardGroup", "ApiGroup", 8000),
        ("ApiGroup", "DagsterGroup", 3000),
        ("DagsterGroup", "MlflowGroup", 5000),
        ("DagsterGroup", "DatabaseGroup", 5432),
        ("MlflowGroup", "DatabaseGroup", 5432),
    }


def test_no_service_has_a_public_address_and_only_two_are_behind_the_load_balancer():
    services = of_type(read("services"), "AWS::ECS::Service")
    for name, service in services.items():
        assert service["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED", name
    assert {name for name, service in services.items() if "LoadBalancers" in service} == {
        "ApiService",
        "DashboardService",
    }


def test_the_load_balancer_asks_for_readiness_and_leaves_time_to_drain(deployed):
    elb = deployed("elbv2")
    groups = {g["TargetGroupName"]: g for g in elb.describe_target_groups()["TargetGroups"]}
    api, dashboard = groups["housing-api"], groups["housing-dashboard"]
    assert (api["HealthCheckPath"], api["Port"]) == ("/health/ready", 8000)
    assert (dashboard["HealthCheckPath"], dashboard["Port"]) == ("/_stcore/health", 8501)
    attributes = elb.describe_target_group_attributes(TargetGroupArn=api["TargetGroupArn"])["Attributes"]
    delay = int({a["Key"]: a["Value"] for a in attributes}["deregistration_delay.timeout_seconds"])
    container = containers("ApiTask")["api"]
    leave = float(variables(container)["HOUSING_LEAVE_SECONDS"])
    unready = api["HealthCheckIntervalSeconds"] * api["UnhealthyThresholdCount"]
    finish = int(re.findall(r"timeout_graceful_shutdown=(\d+)", inspect.getsource(serving))[0])
    # Not ready is noticed before it stops; what it then finishes ends before it is killed, or cut off.
    assert unready < leave
    assert leave + finish < container["StopTimeout"] <= 120
    assert delay >= finish


def test_the_api_is_under_its_path_and_its_metrics_are_not_outside(deployed):
    elb = deployed("elbv2")
    (balancer,) = [b for b in elb.describe_load_balancers()["LoadBalancers"] if b["LoadBalancerName"] == "housing"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    groups = {g["TargetGroupArn"]: g["TargetGroupName"] for g in elb.describe_target_groups()["TargetGroups"]}
    assert groups[listener["DefaultActions"][0]["TargetGroupArn"]] == "housing-dashboard"
    rules = {r["Priority"]: r for r in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]}
    root = variables(containers("ApiTask")["api"])["HOUSING_API_ROOT_PATH"]
    (under,) = rules["20"]["Conditions"]
    assert under["PathPatternConfig"]["Values"] == [root, f"{root}/*"]
    assert groups[rules["20"]["Actions"][0]["TargetGroupArn"]] == "housing-api"
    (metrics,) = rules["10"]["Conditions"]
    assert metrics["PathPatternConfig"]["Values"] == [f"{root}/metrics"]
    assert rules["10"]["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"


def test_with_a_certificate_plain_http_only_leads_to_https(aws):
    certificate = aws("acm").request_certificate(DomainName="housing.example.com")["CertificateArn"]
    given = {"Name": "secure", "CertificateArn": certificate}
    aws("cloudformation").create_stack(
        StackName="secure-network",
        TemplateBody=json.dumps(stand_in(read("network"), "secure")),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
    )
    elb = aws("elbv2")
    (balancer,) = [b for b in elb.describe_load_balancers()["LoadBalancers"] if b["LoadBalancerName"] == "secure"]
    listeners = {x["Port"]: x for x in elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]}
    assert listeners[80]["DefaultActions"][0]["Type"] == "redirect"
    assert listeners[443]["DefaultActions"][0]["Type"] == "forward"
    paths = [r["Conditions"] for r in elb.describe_rules(ListenerArn=listeners[443]["ListenerArn"])["Rules"]]
    assert len([p for p in paths if p]) == 2


# ---------------------------------------------------------------- what lasts


def test_the_bucket_keeps_versions_is_encrypted_and_is_nobody_else_s(deployed):
    s3, bucket = deployed("s3"), outputs(deployed("cloudformation"), "housing-data")["Bucket"]
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    told = read("data")["Resources"]["Bucket"]
    assert told["DeletionPolicy"] == "Retain"
    # The test server's CloudFormation leaves these out: as the template has them.
    assert set(told["Properties"]["PublicAccessBlockConfiguration"].values()) == {True}
    assert told["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    rules = {rule["Id"]: rule for rule in told["Properties"]["LifecycleConfiguration"]["Rules"]}
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OldVersionDays"}}


def test_the_bucket_refuses_what_comes_without_tls():
    # The test server makes no bucket policies: as the template has it.
    (policy,) = of_type(read("data"), "AWS::S3::BucketPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [{"Fn::GetAtt": ["Bucket", "Arn"]}, {"Fn::Sub": "${Bucket.Arn}/*"}]


def test_the_database_is_encrypted_private_and_backed_up(deployed):
    (database,) = deployed("rds").describe_db_instances(DBInstanceIdentifier="housing")["DBInstances"]
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert database["BackupRetentionPeriod"] == 7
    assert database["Engine"] == "postgres"
    private = outputs(deployed("cloudformation"), "housing-network")["PrivateSubnets"].split(",")
    assert {s["SubnetIdentifier"] for s in database["DBSubnetGroup"]["Subnets"]} == set(private)
    told = of_type(read("data"), "AWS::RDS::DBInstance")["Database"]
    assert told["VPCSecurityGroups"] == [{"Fn::ImportValue": {"Fn::Sub": "${Name}-DatabaseGroup"}}]
    assert told["MasterUserPassword"]["Fn::Sub"].startswith("{{resolve:secretsmanager:${DatabaseSecret}:")
    assert told["DeletionProtection"] == {"Ref": "DeletionProtection"}
    assert read("data")["Parameters"]["DeletionProtection"]["Default"] == "true"


def test_images_are_scanned_and_a_tag_never_changes(deployed):
    found = {r["repositoryName"]: r for r in deployed("ecr").describe_repositories()["repositories"]}
    assert found.keys() == {"housing-dagster", "housing-api", "housing-dashboard"}
    for repository in found.values():
        assert repository["imageTagMutability"] == "IMMUTABLE"
    for name, told in of_type(read("data"), "AWS::ECR::Repository").items():
        assert told["ImageScanningConfiguration"] == {"ScanOnPush": True}, name
        assert json.loads(told["LifecyclePolicy"]["LifecyclePolicyText"])["rules"][0]["action"] == {"type": "expire"}


def test_logs_do_not_pile_up(deployed):
    groups = deployed("logs").describe_log_groups(logGroupNamePrefix="/housing/")["logGroups"]
    used = {c["LogConfiguration"]["Options"]["awslogs-group"]["Fn::Sub"] for c in TASKS.values()}
    assert {g["logGroupName"] for g in groups} == {name.replace("${Name}", "housing") for name in used}
    assert {g["retentionInDays"] for g in groups} == {90}


# ---------------------------------------------------------------- what a deploy changes


@pytest.mark.parametrize(
    ("service", "task", "cpu", "memory", "port", "target"),
    [
        ("housing-api-service", "ApiTask", 1024, 3072, 8000, "api"),
        ("housing-streamlit-service", "DashboardTask", 512, 1024, 8501, "dashboard"),
        ("housing-dagster-webserver", "WebserverTask", 1024, 4096, 3000, "dagster"),
        ("housing-dagster-daemon", "DaemonTask", 1024, 4096, None, "dagster"),
        ("housing-mlflow", "MlflowTask", 1024, 2048, 5000, "dagster"),
    ],
)
def test_a_service_runs_its_image_with_its_share(deployed, service, task, cpu, memory, port, target):
    ecs = deployed("ecs")
    (found,) = ecs.describe_services(cluster="housing", services=[service])["services"]
    definition = ecs.describe_task_definition(taskDefinition=found["taskDefinition"])["taskDefinition"]
    main = definition["containerDefinitions"][-1]
    assert definition["memory"] == str(memory)
    assert [p["containerPort"] for p in main["portMappings"]] == ([port] if port else [])
    assert main["image"].endswith(f"/housing-{target}@{DIGESTS[target]}")
    assert main["readonlyRootFilesystem"]
    told = of_type(read("services"), "AWS::ECS::TaskDefinition")[task]
    assert (told["Cpu"], told["Memory"], told["NetworkMode"]) == (cpu, memory, "awsvpc")
    assert told["RequiresCompatibilities"] == ["FARGATE"]
    assert read("services")["Resources"][task.replace("Task", "Service")]["Properties"]["LaunchType"] == "FARGATE"


def test_a_deploy_that_does_not_become_healthy_is_rolled_back():
    for name, service in of_type(read("services"), "AWS::ECS::Service").items():
        rules = service["DeploymentConfiguration"]
        assert rules["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}, name
    services = of_type(read("services"), "AWS::ECS::Service")
    assert services["ApiService"]["DeploymentConfiguration"]["MinimumHealthyPercent"] == 100
    assert services["DaemonService"]["DeploymentConfiguration"]["MaximumPercent"] == 100  # never two daemons


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {e["Name"]: e["Value"] for e in container.get("Environment", ())}


def secrets(container: dict[str, Any]) -> dict[str, Any]:
    return {(s := e.get("Fn::If", [None, e])[1])["Name"]: s["ValueFrom"] for e in container.get("Secrets", ())}


@pytest.mark.parametrize("name", TASKS)
def test_every_variable_is_one_that_is_read_and_secrets_come_from_secrets_manager(name):
    container = TASKS[name]
    assert variables(container).keys() | secrets(container).keys() <= known()
    if not name.endswith(".databases"):
        assert variables(container)["AWS_DEFAULT_REGION"] == {"Ref": "AWS::Region"}  # the only one that boto3 reads
    assert not variables(container).keys() & secrets(container).keys()
    hidden = {"HOUSING_API_KEYS", "HOUSING_API_KEY", "HOUSING_WEBHOOK_URL", "PGPASSWORD"}
    assert not hidden & variables(container).keys()
    assert secrets(container).keys() <= hidden
    for value in variables(container).values():
        assert not re.search(r"://[^/@]+:[^/@]+@", str(value)), "an address with a password"


def test_containers_are_checked_as_their_images_are():
    stages = parse((PROJECT / "Dockerfile").read_text())
    for task, container, target in (
        ("ApiTask", "api", "api"),
        ("DashboardTask", "dashboard", "dashboard"),
        ("WebserverTask", "webserver", "dagster"),
    ):
        (check,) = [s for s in stages[target].instructions if s.keyword == "HEALTHCHECK"]
        (volume,) = [s.text for s in stages[target].instructions if s.keyword == "VOLUME"]
        told = containers(task)[container]
        assert told["HealthCheck"]["Command"][1:] == parse_command(check.text)
        assert {"SourceVolume": "data", "ContainerPath": volume} in told["MountPoints"]


def parse_command(text: str) -> list[str]:
    return json.loads(text.removeprefix("CMD").strip())


def test_runs_get_the_task_that_dagster_launches(deployed):
    ecs = deployed("ecs")
    run = ecs.describe_task_definition(taskDefinition="housing-dagster-run")["taskDefinition"]
    assert [c["name"] for c in run["containerDefinitions"]] == ["run"]
    daemon = ecs.describe_task_definition(taskDefinition="housing-dagster-daemon")["taskDefinition"]
    given = {e["name"]: e["value"] for e in daemon["containerDefinitions"][-1]["environment"]}
    assert given["HOUSING_ECS_TASK_DEFINITION"] == run["taskDefinitionArn"]
    assert given["HOUSING_ECS_CLUSTER"] == "housing"
    told = outputs(deployed("cloudformation"), "housing-network")
    assert given["HOUSING_ECS_SUBNETS"] == told["PrivateSubnets"]
    assert given["HOUSING_ECS_SECURITY_GROUPS"] == told["DagsterGroup"]
    launcher = {name for name in given if name.startswith("HOUSING_ECS_")}
    runs = {e["name"] for e in run["containerDefinitions"][0]["environment"]}
    assert given.keys() - launcher == runs


def test_the_api_and_the_dashboard_scale_and_every_alarm_is_told_and_explained():
    # The test server makes neither: as the template has them.
    template = read("services")
    policies = of_type(template, "AWS::ApplicationAutoScaling::ScalingPolicy")
    assert {p["ScalingTargetId"]["Ref"] for p in policies.values()} == {"ApiScaling", "DashboardScaling"}
    assert {p["PolicyType"] for p in policies.values()} == {"TargetTrackingScaling"}
    alarms = of_type(template, "AWS::CloudWatch::Alarm")
    page = (INFRA / "README.md").read_text()
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == [{"Fn::ImportValue": {"Fn::Sub": "${Name}-Alarms"}}], name
        assert f"| `{alarm['AlarmName']['Fn::Sub'].replace('${Name}', 'housing')}` |" in page, name
    filters = {
        f["MetricTransformations"][0]["MetricName"] for f in of_type(template, "AWS::Logs::MetricFilter").values()
    }
    assert filters == {a["MetricName"] for a in alarms.values() if a.get("Namespace") == {"Ref": "Name"}}


def test_the_alarms_on_the_work_read_names_that_the_log_line_has():
    template = read("services")
    alarms = {a["MetricName"]: a for a in of_type(template, "AWS::CloudWatch::Alarm").values() if "MetricName" in a}
    line = summary(Operations(datetime.now(UTC), "", {}, defaultdict(AssetState), {}, {}, 0, ()))
    read_names = set()
    for told in of_type(template, "AWS::Logs::MetricFilter").values():
        (change,) = told["MetricTransformations"]
        if change["MetricValue"].startswith("$."):
            read_names.add(change["MetricValue"].removeprefix("$."))
            assert told["FilterPattern"] == f'{{ $.message = "{line["message"]}" && $.up = {line["up"]} }}'
            alarm = alarms[change["MetricName"]]
            # Two containers are there for a moment at a deploy: their figures are not added up.
            assert alarm["Statistic"] == "Maximum"
            # CloudWatch looks back a day at most.
            assert alarm["Period"] * alarm["EvaluationPeriods"] <= 86_400
    assert read_names == {"months_behind", "failed_checks", "drift_warnings", "source_trouble"} < line.keys()
    every = float(command_of("DaemonTask", "metrics")["--every"])
    assert every <= min(a["Period"] for a in alarms.values() if a.get("Namespace") == {"Ref": "Name"})


def test_the_templates_can_be_given_as_they_are():
    # Larger ones have to go through a bucket, which `aws cloudformation deploy` then asks for.
    assert {name for name in (*ORDER, "github") if (INFRA / f"{name}.yaml").stat().st_size > 51_200} == set()


def command_of(task: str, name: str) -> dict[str, str]:
    """The options of a container's command."""
    words = containers(task)[name]["Command"]
    return {words[i]: words[i + 1] for i in range(2, len(words), 2)}


def test_the_metrics_neither_end_nor_starve_the_daemon_beside_them():
    daemon = of_type(read("services"), "AWS::ECS::TaskDefinition")["DaemonTask"]
    beside = containers("DaemonTask")["metrics"]
    assert beside["Essential"] is False
    assert beside["RestartPolicy"]["Enabled"] is True
    assert variables(beside).keys() < variables(containers("DaemonTask")["daemon"]).keys()
    places = {mount["SourceVolume"] for c in daemon["ContainerDefinitions"] for mount in c["MountPoints"]}
    assert places == {volume["Name"] for volume in daemon["Volumes"]}
    assert beside["MountPoints"][0]["SourceVolume"] == "metrics", "DAGSTER_HOME of its own"
    options = command_of("DaemonTask", "metrics")
    assert options["--port"] == str(beside["PortMappings"][0]["ContainerPort"])


def test_a_minor_version_that_rds_raised_by_itself_is_never_lowered_by_a_deploy():
    database = of_type(read("data"), "AWS::RDS::DBInstance")["Database"]
    assert database["AutoMinorVersionUpgrade"] is True
    assert database["EngineVersion"] == {"Ref": "DatabaseVersion"}
    assert read("data")["Parameters"]["DatabaseVersion"]["Default"].isdigit(), "a major version alone"
    compose = (INFRA / "compose.yaml").read_text()
    assert re.findall(r"image: postgres:(\d+)", compose) == [read("data")["Parameters"]["DatabaseVersion"]["Default"]]


def test_a_page_at_the_dashboard_stays_open_and_with_its_process():
    # Streamlit's page is a websocket: it has to lead to the process that holds the session, and not be cut off idle.
    # The test server keeps no attributes: as the template has them.
    targets = of_type(read("network"), "AWS::ElasticLoadBalancingV2::TargetGroup")["DashboardTargets"]
    attributes = {a["Key"]: a["Value"] for a in targets["TargetGroupAttributes"]}
    assert (attributes["stickiness.enabled"], attributes["stickiness.type"]) == ("true", "lb_cookie")
    (balancer,) = of_type(read("network"), "AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    idle = {a["Key"]: a["Value"] for a in balancer["LoadBalancerAttributes"]}["idle_timeout.timeout_seconds"]
    assert int(idle) >= 2 * STREAMLIT_PING_SECONDS


STREAMLIT_PING_SECONDS = 30
"""How often Streamlit's server says on an idle page that it is there, at most: the default of its websockets."""


def test_every_parameter_and_output_is_in_the_notes_and_no_account_is_in_a_template():
    page = (INFRA / "README.md").read_text()
    for name in (*ORDER, "github"):
        template = read(name)
        for parameter, told in template["Parameters"].items():
            assert told["Description"], parameter
            assert f"| `{parameter}` |" in page, f"{name}: {parameter}"
        assert not re.search(r"\b\d{12}\b", (INFRA / f"{name}.yaml").read_text())


# ---------------------------------------------------------------- roles


@pytest.fixture
def enforcing(s3_server) -> Iterator[None]:
    """The server, holding every call against the caller's policies."""

    def allowed_calls(count: str) -> None:
        request = urllib.request.Request(
            f"{s3_server}/moto-api/reset-auth", count.encode(), {"Content-Type": "text/plain"}
        )
        urllib.request.urlopen(request).close()

    yield lambda: allowed_calls("0")
    allowed_calls("inf")


def as_role(aws: Any, s3_server: str, arn: str) -> Any:
    """An S3 client with the rights of a deployed role.

    Of a copy of it: the test server cannot enforce inline policies that its own CloudFormation made, since it keeps
    Python's way to write them and not JSON.
    """
    iam, name, copy = aws("iam"), arn.rpartition("/")[2], f"copy-{uuid.uuid4().hex}"
    trust = json.dumps(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
    made = iam.create_role(RoleName=copy, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        iam.put_role_policy(RoleName=copy, PolicyName=policy, PolicyDocument=json.dumps(ast.literal_eval(document)))
    given = aws("sts").assume_role(RoleArn=made, RoleSessionName="task")["Credentials"]
    session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")
    return session.client("s3", endpoint_url=s3_server)


def may(call: Any) -> bool:
    try:
        call()
    except ClientError as error:
        assert error.response["Error"]["Code"] in ("AccessDenied", "403"), error
        return False
    return True


def rights(client: Any, bucket: str) -> set[str]:
    """What an S3 client may do in the parts of the bucket."""
    found = set()
    for part in ("store", "source", "mlflow", "dagster"):
        key = {"Bucket": bucket, "Key": f"{part}/there"}
        for name, call in (
            ("read", lambda key=key: client.get_object(**key)),
            ("write", lambda key=key: client.put_object(**key, Body=b"x")),
            ("delete", lambda key=key: client.delete_object(**key)),
        ):
            if may(call):
                found.add(f"{name} {part}")
    return found


def put_samples(aws: Any, bucket: str) -> None:
    for part in ("store", "source", "mlflow", "dagster"):
        aws("s3").put_object(Bucket=bucket, Key=f"{part}/there", Body=b"x")


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("ApiTaskRole", {"read store"}),
        ("DashboardTaskRole", {"read store"}),
        (
            "RunTaskRole",
            {"read store", "write store", "delete store", "read source", "read dagster", "write dagster"},
        ),
        ("DagsterTaskRole", {"read store", "read source", "read dagster", "write dagster"}),
        ("MlflowTaskRole", {"read mlflow", "write mlflow", "delete mlflow"}),
    ],
)
def test_a_role_may_do_to_the_bucket_what_its_task_does_and_no_more(deployed, enforcing, s3_server, role, expected):
    told = outputs(deployed("cloudformation"), "housing-data")
    put_samples(deployed, told["Bucket"])
    client = as_role(deployed, s3_server, told[role])
    enforcing()
    assert rights(client, told["Bucket"]) == expected


def test_a_wider_policy_of_the_api_would_be_seen(aws, enforcing, s3_server):
    data = read("data")
    data["Resources"]["ApiTaskRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Action"] = "s3:*"
    deploy(aws("cloudformation"), {"data": data}, prefix="wide")
    told = outputs(aws("cloudformation"), "wide-data")
    put_samples(aws, told["Bucket"])
    client = as_role(aws, s3_server, told["ApiTaskRole"])
    enforcing()
    assert rights(client, told["Bucket"]) == {"read store", "write store", "delete store"}


def test_only_dagster_s_services_may_start_tasks_and_only_runs_with_the_roles_of_runs():
    data = read("data")
    allowed = {}
    for role, told in of_type(data, "AWS::IAM::Role").items():
        for statement in (s for p in told["Policies"] for s in p["PolicyDocument"]["Statement"]):
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions), role
            allowed |= {(role, action): statement for action in actions}
            if statement["Resource"] == "*":
                assert set(actions) <= {
                    "ecr:GetAuthorizationToken", "ecs:DescribeTaskDefinition", "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
                }, role  # fmt: skip
    assert {role for role, action in allowed if action in ("ecs:RunTask", "iam:PassRole")} == {"DagsterTaskRole"}
    passed = allowed["DagsterTaskRole", "iam:PassRole"]
    assert passed["Resource"] == [
        {"Fn::GetAtt": ["RunTaskRole", "Arn"]},
        {"Fn::GetAtt": ["DagsterExecutionRole", "Arn"]},
    ]
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    assert allowed["DagsterTaskRole", "ecs:RunTask"]["Resource"]["Fn::Sub"].endswith("/${Name}-dagster-run:*")
    reads = {role: allowed[role, "secretsmanager:GetSecretValue"]["Resource"] for role, a in allowed if "Secret" in a}
    assert reads == {
        "WebExecutionRole": {"Ref": "ApiKey"},
        "DagsterExecutionRole": [
            {"Ref": "DatabaseSecret"},
            {"Fn::If": ["HasWebhook", {"Ref": "WebhookSecretArn"}, {"Ref": "AWS::NoValue"}]},
        ],
    }
