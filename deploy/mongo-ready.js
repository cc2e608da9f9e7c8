// Brings MongoDB to where backfleet can work with it, each step only if it is still to do: the replica set of one, the
// administrator, and backfleet's own user, who may do nothing but read and write its database. Before the first user
// exists MongoDB lets whoever comes from its own machine take these steps.
"use strict";

const ATTEMPTS = 40;
const PAUSE_MS = 250;

const admin = db.getSiblingDB("admin");
const database = db.getSiblingDB("backfleet");

function signIn() {
  try {
    return admin.auth("root", process.env.MONGO_ROOT_PASSWORD).ok === 1;
  } catch (error) {
    if (error.codeName === "AuthenticationFailed") return false;
    throw error;
  }
}

if (!db.hello().setName) {
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] });
}

for (let attempt = 0; attempt < ATTEMPTS && !db.hello().isWritablePrimary; attempt++) {
  sleep(PAUSE_MS);
}
if (!db.hello().isWritablePrimary) {
  print("MongoDB is not primary of its replica set yet");
  quit(1);
}

if (!signIn()) {
  admin.createUser({ user: "root", pwd: process.env.MONGO_ROOT_PASSWORD, roles: ["root"] });
  signIn();
}
if (!database.getUser("backfleet")) {
  database.createUser({
    user: "backfleet",
    pwd: process.env.MONGO_PASSWORD,
    roles: [{ role: "readWrite", db: "backfleet" }],
  });
}
