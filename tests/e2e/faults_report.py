"""`python -m tests.e2e.faults_report`: the newest figure of every fault beside its target.

Exit code 1 when the newest of a fault is beyond its target, or lost or doubled anything; 2 when
there are no figures. The figures are those of the fault tests (`make faults`).
"""

import sys

from tests.e2e.faults_record import figures_path, read_figures


def main() -> int:
    newest = {one["fault"]: one for one in read_figures()}
    if not newest:
        print(f"no figures in {figures_path()}: run the fault tests first", file=sys.stderr)
        return 2
    print("| fault | recovery s | target s | lost | doubled | load | |")
    print("|---|---|---|---|---|---|---|")
    bad = 0
    for fault, one in newest.items():
        target = one["target_s"]
        good = not one["lost"] and not one["duplicates"]
        good = good and (target is None or one["recovery_s"] <= target)
        bad += not good
        print(
            f"| {fault} | {one['recovery_s']:.1f} | {'-' if target is None else f'{target:g}'}"
            f" | {one['lost']} | {one['duplicates']} | {one['machine']['load_1m']:g}"
            f" | {'ok' if good else 'MISSED'} |"
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
