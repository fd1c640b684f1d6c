"""The Pod Security Standard `restricted`, control by control, as Kubernetes 1.34 writes it, and none left out.

Each control looks at a pod and yields what breaks it. A pod that runs on Linux is meant; the chart has no other.
"""

from collections.abc import Callable, Iterator
from typing import Any

from tests.helm.pod_templates import Pod

Control = Callable[[Pod], Iterator[str]]
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}
SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
}  # fmt: skip
SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def security(container: dict[str, Any]) -> dict[str, Any]:
    return container.get("securityContext") or {}


def contexts(pod: Pod) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each security context and whose it is."""
    yield "pod", pod.spec.get("securityContext") or {}
    for container in pod.containers:
        yield container["name"], security(container)


def effective(pod: Pod, field: str) -> Iterator[tuple[str, Any]]:
    """What holds for each container: its own word, or else the pod's."""
    general = (pod.spec.get("securityContext") or {}).get(field)
    for container in pod.containers:
        yield container["name"], security(container).get(field, general)


def host_process(pod: Pod) -> Iterator[str]:
    for name, context in contexts(pod):
        if (context.get("windowsOptions") or {}).get("hostProcess"):
            yield name


def host_namespaces(pod: Pod) -> Iterator[str]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(field):
            yield field


def privileged_containers(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if security(container).get("privileged"):
            yield container["name"]


def capabilities(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        said = security(container).get("capabilities") or {}
        if "ALL" not in (said.get("drop") or []):
            yield f"{container['name']} does not drop ALL"
        if added := set(said.get("add") or []) - {"NET_BIND_SERVICE"}:
            yield f"{container['name']} adds {sorted(added)}"


def host_path_volumes(pod: Pod) -> Iterator[str]:
    for volume in pod.volumes:
        if "hostPath" in volume:
            yield volume["name"]


def host_ports(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        for port in container.get("ports") or []:
            if port.get("hostPort"):
                yield f"{container['name']} {port['hostPort']}"


def host_probes(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        lifecycle = container.get("lifecycle") or {}
        probes = [container.get(name) for name in ("livenessProbe", "readinessProbe", "startupProbe")]
        for handler in (*probes, lifecycle.get("postStart"), lifecycle.get("preStop")):
            for action in ("httpGet", "tcpSocket"):
                if ((handler or {}).get(action) or {}).get("host"):
                    yield container["name"]


def app_armor(pod: Pod) -> Iterator[str]:
    for name, context in contexts(pod):
        if (context.get("appArmorProfile") or {}).get("type", "RuntimeDefault") not in SECCOMP:
            yield name


def selinux(pod: Pod) -> Iterator[str]:
    for name, context in contexts(pod):
        options = context.get("seLinuxOptions") or {}
        if options.get("type", "") not in SELINUX_TYPES or options.get("user") or options.get("role"):
            yield name


def proc_mount_type(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if security(container).get("procMount", "Default") != "Default":
            yield container["name"]


def seccomp(pod: Pod) -> Iterator[str]:
    for name, profile in effective(pod, "seccompProfile"):
        if (profile or {}).get("type") not in SECCOMP:
            yield name


def sysctls(pod: Pod) -> Iterator[str]:
    for sysctl in (pod.spec.get("securityContext") or {}).get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield sysctl["name"]


def volume_types(pod: Pod) -> Iterator[str]:
    for volume in pod.volumes:
        if kinds := set(volume) - {"name"} - VOLUMES:
            yield f"{volume['name']} {sorted(kinds)}"


def privilege_escalation(pod: Pod) -> Iterator[str]:
    for container in pod.containers:
        if security(container).get("allowPrivilegeEscalation") is not False:
            yield container["name"]


def running_as_non_root(pod: Pod) -> Iterator[str]:
    for name, said in effective(pod, "runAsNonRoot"):
        if said is not True:
            yield name


def running_as_non_root_user(pod: Pod) -> Iterator[str]:
    for name, context in contexts(pod):
        if context.get("runAsUser") == 0:
            yield name


CONTROLS: dict[str, Control] = {
    "HostProcess": host_process,
    "Host Namespaces": host_namespaces,
    "Privileged Containers": privileged_containers,
    "Capabilities": capabilities,
    "HostPath Volumes": host_path_volumes,
    "Host Ports": host_ports,
    "Host Probes / Lifecycle Hooks": host_probes,
    "AppArmor": app_armor,
    "SELinux": selinux,
    "/proc Mount Type": proc_mount_type,
    "Seccomp": seccomp,
    "Sysctls": sysctls,
    "Volume Types": volume_types,
    "Privilege Escalation": privilege_escalation,
    "Running as Non-root": running_as_non_root,
    "Running as Non-root user": running_as_non_root_user,
}
