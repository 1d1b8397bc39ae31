-- What people are found by: the words of their names, whatever their case and accents. Triggers keep it as the users are.
CREATE TABLE pregon_names (
    row INTEGER PRIMARY KEY,
    user_id char(32) NOT NULL UNIQUE,
    names text NOT NULL
);
CREATE VIRTUAL TABLE pregon_names_index USING fts5 (
    names, content = 'pregon_names', content_rowid = 'row', prefix = '1 2 3', tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO pregon_names (user_id, names)
    SELECT id, username || ' ' || display_name || ' ' || first_name || ' ' || last_name FROM users;
INSERT INTO pregon_names_index (pregon_names_index) VALUES ('rebuild');

CREATE TRIGGER pregon_names_come AFTER INSERT ON users BEGIN
    INSERT INTO pregon_names (user_id, names)
        VALUES (new.id, new.username || ' ' || new.display_name || ' ' || new.first_name || ' ' || new.last_name);
    INSERT INTO pregon_names_index (rowid, names) SELECT row, names FROM pregon_names WHERE user_id = new.id;
END;
CREATE TRIGGER pregon_names_change AFTER UPDATE OF username, display_name, first_name, last_name ON users BEGIN
    INSERT INTO pregon_names_index (pregon_names_index, rowid, names)
        SELECT 'delete', row, names FROM pregon_names WHERE user_id = old.id;
    UPDATE pregon_names
        SET names = new.username || ' ' || new.display_name || ' ' || new.first_name || ' ' || new.last_name
        WHERE user_id = old.id;
    INSERT INTO pregon_names_index (rowid, names) SELECT row, names FROM pregon_names WHERE user_id = old.id;
END;
CREATE TRIGGER pregon_names_go AFTER DELETE ON users BEGIN
    INSERT INTO pregon_names_index (pregon_names_index, rowid, names)
        SELECT 'delete', row, names FROM pregon_names WHERE user_id = old.id;
    DELETE FROM pregon_names WHERE user_id = old.id;
END;
