CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.created_at := now();
	RETURN NEW;
END;
$$;
--> statement-breakpoint
CREATE TRIGGER org_touch BEFORE UPDATE ON "org" FOR EACH ROW EXECUTE FUNCTION touch();
