-- The tables of an enforcer's database that are read, with the columns that OpenDNSSEC 2.1.12 gives them.
CREATE TABLE databaseVersion (id INTEGER PRIMARY KEY, rev INTEGER, version UNSIGNED INT NOT NULL);
CREATE TABLE policy (id INTEGER PRIMARY KEY, rev INTEGER, name TEXT NOT NULL, keysShared UNSIGNED INT NOT NULL);
CREATE TABLE policyKey (id INTEGER PRIMARY KEY, rev INTEGER, policyId INTEGER NOT NULL, role INT NOT NULL,
    algorithm UNSIGNED INT NOT NULL, bits UNSIGNED INT NOT NULL, lifetime UNSIGNED INT NOT NULL, repository TEXT NOT NULL,
    standby UNSIGNED INT NOT NULL, manualRollover UNSIGNED INT NOT NULL);
CREATE TABLE zone (id INTEGER PRIMARY KEY, rev INTEGER, policyId INTEGER NOT NULL, name TEXT NOT NULL,
    rollKskNow UNSIGNED INT NOT NULL, rollZskNow UNSIGNED INT NOT NULL, rollCskNow UNSIGNED INT NOT NULL);
CREATE TABLE hsmKey (id INTEGER PRIMARY KEY, rev INTEGER, policyId INTEGER NOT NULL, locator TEXT NOT NULL, state INT NOT NULL,
    bits UNSIGNED INT NOT NULL, algorithm UNSIGNED INT NOT NULL, role INT NOT NULL, isRevoked UNSIGNED INT NOT NULL,
    repository TEXT NOT NULL);
CREATE TABLE keyData (id INTEGER PRIMARY KEY, rev INTEGER, zoneId INTEGER NOT NULL, hsmKeyId INTEGER NOT NULL,
    inception UNSIGNED INT NOT NULL, role INT NOT NULL);
INSERT INTO databaseVersion VALUES (1, 1, 1);
-- 1 registry: two zones; 2 shared: three zones with one key; 3 nobody's.
INSERT INTO policy VALUES (1, 1, 'registry', 0), (2, 1, 'shared', 1), (3, 1, 'nobody', 0);
INSERT INTO policyKey VALUES
    (1, 1, 1, 1, 8, 2048, 31536000, 'hsm', 0, 1),
    (2, 1, 1, 2, 13, 256, 7776000, 'hsm', 1, 0),
    (3, 1, 2, 3, 13, 256, 1000, 'hsm', 0, 0),
    (4, 1, 3, 2, 13, 256, 1000, 'hsm', 0, 0);
INSERT INTO zone VALUES
    (1, 1, 1, 'a.example', 0, 0, 0), (2, 1, 1, 'b.example', 0, 0, 0), (3, 1, 1, 'new.example', 0, 0, 0),
    (4, 1, 2, 'c.example', 0, 0, 0), (5, 1, 2, 'd.example', 0, 0, 0), (6, 1, 2, 'e.example', 0, 0, 0);
INSERT INTO hsmKey VALUES
    (1, 1, 1, 'AA01', 2, 2048, 8, 1, 0, 'hsm'), (2, 1, 1, 'aa02', 2, 2048, 8, 1, 0, 'hsm'),
    (3, 1, 1, 'bb01', 2, 256, 13, 2, 0, 'hsm'), (4, 1, 1, 'bb02', 2, 256, 13, 2, 0, 'hsm'), (5, 1, 1, 'bb03', 2, 256, 13, 2, 0, 'hsm'),
    -- unused: three that fit, and one each of another repository, size, algorithm, role, policy; one revoked, one to be deleted
    (10, 1, 1, 'bb11', 1, 256, 13, 2, 0, 'hsm'), (11, 1, 1, 'BB12', 1, 256, 13, 2, 0, 'hsm'), (12, 1, 1, 'bb13', 1, 256, 13, 2, 0, 'hsm'),
    (13, 1, 1, 'x1', 1, 256, 13, 2, 0, 'other'), (14, 1, 1, 'x2', 1, 384, 13, 2, 0, 'hsm'), (15, 1, 1, 'x3', 1, 256, 15, 2, 0, 'hsm'),
    (16, 1, 1, 'x4', 1, 256, 13, 1, 0, 'hsm'), (17, 1, 3, 'x5', 1, 256, 13, 2, 0, 'hsm'), (18, 1, 1, 'x6', 1, 256, 13, 2, 1, 'hsm'),
    (19, 1, 1, 'x7', 4, 256, 13, 2, 0, 'hsm'),
    (30, 1, 2, 'cc01', 3, 256, 13, 3, 0, 'hsm'), (31, 1, 2, 'cc02', 3, 256, 13, 3, 0, 'hsm');
INSERT INTO keyData VALUES
    -- a.example: a KSK, and two ZSKs of which the younger counts; b.example: a KSK and a ZSK; new.example: nothing yet
    (1, 1, 1, 1, 1000000, 1), (2, 1, 1, 3, 1000000, 2), (3, 1, 1, 5, 8776000, 2),
    (4, 1, 2, 2, 1500000, 1), (5, 1, 2, 4, 2000000, 2),
    -- shared: c.example has the first key since 5000000, d.example since 5000300; e.example none yet
    (6, 1, 4, 30, 5000000, 3), (7, 1, 5, 30, 5000300, 3);
