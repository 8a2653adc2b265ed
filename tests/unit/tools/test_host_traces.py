from tools.host_traces import without_docker

BEFORE = ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", "-A INPUT -i eth1 -j DROP", "COMMIT"]
AFTER = [
    "*filter",
    ":INPUT ACCEPT [5:300]",
    ":FORWARD DROP [0:0]",
    ":DOCKER - [0:0]",
    ":DOCKER-USER - [0:0]",
    "[0:0] -A INPUT -i eth1 -j DROP",
    "[0:0] -A FORWARD -j DOCKER-USER",
    "[3:90] -A FORWARD -i br-0123456789ab -j ACCEPT",
    "[0:0] -A FORWARD -i wg0 -j ACCEPT",
    "[0:0] -A DOCKER-USER -o eth0 -j REJECT --reject-with icmp-port-unreachable",
    "COMMIT",
    "*nat",
    ":POSTROUTING ACCEPT [0:0]",
    ":DOCKER - [0:0]",
    "[0:0] -A POSTROUTING -s 172.18.0.0/16 ! -o br-0123456789ab -j MASQUERADE",
    "COMMIT",
]


def test_what_docker_added_goes_and_what_others_added_stays() -> None:
    assert without_docker(AFTER, before=BEFORE) == [
        "*filter",
        ":INPUT ACCEPT [5:300]",
        ":FORWARD ACCEPT [0:0]",
        "[0:0] -A INPUT -i eth1 -j DROP",
        "[0:0] -A FORWARD -i wg0 -j ACCEPT",
        "COMMIT",
        "*nat",
        ":POSTROUTING ACCEPT [0:0]",
        "COMMIT",
    ]


def test_what_an_earlier_docker_left_stays() -> None:
    plain = [line.partition("] ")[2] if line.startswith("[") else line for line in AFTER]
    assert without_docker(AFTER, before=plain) == []


def test_a_machine_that_drops_what_it_forwards_keeps_doing_so() -> None:
    strict = [line.replace("FORWARD ACCEPT", "FORWARD DROP") for line in BEFORE]
    assert ":FORWARD DROP [0:0]" in without_docker(AFTER, before=strict)
