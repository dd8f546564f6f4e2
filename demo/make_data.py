#!/usr/bin/env python3
"""Writes the demo's data: requests to a smart home, each answered by one JSON command of an invented schema.

No model can know this schema, so the base answers in prose; learning it takes a few dozen batches. The held-out rows
(valid.jsonl, test.jsonl) ask for combinations of command and values that no training row asks for.

usage: demo/make_data.py [FOLDER]        the same bytes on every run
"""
import itertools
import json
import pathlib
import random
import sys

TRAIN, VALID, TEST = 400, 16, 40

ROOMS = ["kitchen", "bedroom", "living room", "bathroom", "hall", "office", "nursery", "attic", "dining room", "garage"]
VALUES = {
    "room": ROOMS,
    "level": [5, 10, 15, 20, 25, 30, 40, 45, 50, 60, 70, 75, 80, 90, 100],
    "degrees": [16, 17, 18, 19, 20, 21, 22, 23, 24],
    "to": ["up", "down"],
    "genre": ["jazz", "rock", "piano", "folk", "techno", "opera", "blues", "reggae"],
    "minutes": [2, 3, 4, 5, 7, 8, 10, 12, 15, 20, 25, 30, 45, 50],
    "for": ["tea", "pasta", "eggs", "bread", "rice", "laundry", "soup", "pizza"],
    "door": ["front", "back", "garage", "cellar", "garden", "balcony"],
    "state": ["locked", "open"],
    "at": [f"{hour}:{minute:02}" for hour in (5, 6, 7, 8, 9) for minute in (0, 10, 15, 20, 30, 40, 45, 50)],
}

# command: (the values it takes, ways to ask for it). A pair: a way that fits one value only.
COMMANDS = {
    "light.set": (["room", "level"], [
        "Dim the {room} lights to {level} percent.", "Set the {room} light to {level}%.",
        "I want the lamp in the {room} at {level} percent.", "Can you put the {room} lights on {level}%?",
        "Light in the {room}: {level} percent, please.", "Bring the {room} lighting to {level} percent."]),
    "light.off": (["room"], [
        "Turn off the light in the {room}.", "Lights out in the {room}, please.", "The {room} lamp is still on, switch it off.",
        "Make it dark in the {room}.", "Nobody is in the {room}, so no light there.", "Could you kill the {room} lights?"]),
    "heat.set": (["room", "degrees"], [
        "Heat the {room} to {degrees} degrees.", "I would like {degrees} degrees in the {room}.",
        "Set the {room} thermostat to {degrees}.", "It should be {degrees} degrees in the {room}.",
        "Make the {room} {degrees} degrees warm.", "Temperature in the {room}: {degrees}, thanks."]),
    "blind.move": (["room", "to"], [
        "Blinds {to} in the {room}.", "Move the {room} blinds {to}.", "Please let the blinds in the {room} go {to}.",
        "I want the {room} shutters {to}.", "Shutters in the {room} {to}, please."]),
    "music.play": (["room", "genre"], [
        "Play some {genre} in the {room}.", "I feel like {genre}; put it on in the {room}.",
        "Could we have {genre} in the {room}?", "Start {genre} on the {room} speaker.", "Some {genre} for the {room}, please."]),
    "music.stop": (["room"], [
        "Stop the music in the {room}.", "Silence in the {room}, please.", "The {room} speaker is too loud, turn it off.",
        "No more music in the {room}.", "Shut the {room} speaker up."]),
    "timer.start": (["minutes", "for"], [
        "Set a timer of {minutes} minutes for the {for}.", "The {for} needs {minutes} minutes, remind me.",
        "Tell me in {minutes} minutes to check the {for}.", "{minutes} minutes for the {for}, starting now.",
        "Count down {minutes} minutes, it is for the {for}."]),
    "door.set": (["door", "state"], [
        ("locked", "Lock the {door} door."), ("locked", "Please make sure the {door} door is locked."),
        ("locked", "Nobody should get in through the {door} door."), ("open", "Unlock the {door} door."),
        ("open", "Open up the {door} door, please."), ("open", "Let them in through the {door} door.")]),
    "vacuum.start": (["room"], [
        "Vacuum the {room}.", "The {room} floor is dirty, clean it.", "Send the robot to the {room}.",
        "There are crumbs all over the {room}.", "Time to hoover the {room}."]),
    "alarm.set": (["at"], [
        "Wake me at {at}.", "Set the alarm to {at}.", "I have to be up by {at}.", "Alarm at {at} tomorrow, please.",
        "Get me out of bed at {at}."]),
}


def requests():
    """Every (command, values, ways to ask) there is."""
    for name, (slots, ways) in COMMANDS.items():
        for values in itertools.product(*(VALUES[s] for s in slots)):
            yield name, dict(zip(slots, values)), ways


def row(rng, request):
    name, values, ways = request
    fitting = [w for w in ways if isinstance(w, str) or w[0] in values.values()]
    way = rng.choice(fitting)
    command = json.dumps({"do": name, **values}, separators=(",", ":"))
    return {"prompt": (way if isinstance(way, str) else way[1]).format(**values), "completion": command}


def deal(rng, groups, count):
    """`count` rows, the commands in turn; each request is taken away."""
    rows = []
    for name in itertools.cycle(groups):
        if len(rows) == count:
            rng.shuffle(rows)
            return rows
        if groups[name]:
            rows.append(row(rng, groups[name].pop()))


def draw(rng, groups, count):
    """`count` rows, the commands in turn; requests come again in other words."""
    rows = {}
    for name in itertools.cycle(groups):
        if len(rows) == count:
            rows = list(rows.values())
            rng.shuffle(rows)
            return rows
        drawn = row(rng, rng.choice(groups[name]))
        rows.setdefault(drawn["prompt"], drawn)


def write(path, rows):
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    print(f"{path}: {len(rows)} rows")


def main(folder):
    rng = random.Random(20)
    groups = {name: [] for name in COMMANDS}
    for request in requests():
        groups[request[0]].append(request)
    for group in groups.values():
        rng.shuffle(group)
    # A quarter of each command's requests is held out; none of those with a single room, which are few.
    held_out = {n: [g.pop() for _ in range(len(g) // 4)] for n, g in groups.items() if len(g) > len(ROOMS)}
    rows = deal(rng, held_out, VALID + TEST)
    write(folder / "valid.jsonl", rows[:VALID])
    write(folder / "test.jsonl", rows[VALID:])
    write(folder / "train.jsonl", draw(rng, groups, TRAIN))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
